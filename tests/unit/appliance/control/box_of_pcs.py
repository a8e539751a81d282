"""The application of the control process with a filled registry, for the tests of the API and the metrics."""

import asyncio
from pathlib import Path
from typing import Any

import httpx

from appliance.allowlist import Entry
from appliance.config.file import load
from appliance.control.access import credentials
from appliance.control.access.pace import RequestPace
from appliance.control.app import create_app
from appliance.control.context import Context
from appliance.registry.database import Registry
from services.ethernet import MacRange
from tests.fakes import fleet
from tests.unit.image.test_release import publish

NOW = 1.79e9
ACCOUNT_KEY = "0123456789abcdef0123456789abcdef"
RELEASE = "20261101-100000-0a1b2c3d"


class BoxOfPcs:
    """Eighty PCs in two rooms, each with two boots, a release that is active, and two tokens."""

    def __init__(self, data: Path, pcs: int = 80) -> None:
        path = data / "c.toml"
        path.write_text(
            f'[server]\ninterfaces = ["lo"]\ndata = "{data}"\n[control]\nlisten = ":8443"\n'
            f'[project]\nurl = "https://project.example.org/"\naccount_key = "{ACCOUNT_KEY}"\n'
        )
        path.chmod(0o600)
        publish(data / "images", RELEASE)
        (data / "images" / "current").symlink_to(RELEASE)
        self.config = load(path)
        self.registry = self.config.registry
        with Registry(self.registry) as registry:
            fleet.fill(registry, pcs, 2, NOW)
            registry.allow([Entry(MacRange.parse("02:00:5e:*"), "spare")])
            self.reader = credentials.add_token(registry, "reader", read_only=True, now=NOW)
            self.writer = credentials.add_token(registry, "writer", read_only=False, now=NOW)
        self.app = create_app(Context(path, self.config, lambda: NOW, names=("box", "testserver")))
        self.app.state.pace = RequestPace(1e6, 1e6)

    def ask(self, path: str, method: str = "GET", token: str | None = None, **more: Any) -> httpx.Response:
        """One request; with the read-only token unless another one is named, and with none if that is empty."""
        headers = more.pop("headers", {})
        if secret := self.reader if token is None else token:
            headers["Authorization"] = f"Bearer {secret}"

        async def request() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="https://box") as client:
                return await client.request(method, path, headers=headers, **more)

        return asyncio.run(request())

    def change(self, path: str, method: str, **more: Any) -> httpx.Response:
        """One request with the token that may change something."""
        return self.ask(path, method, self.writer, **more)

    def secrets(self) -> set[str]:
        """All that no answer may have."""
        with Registry(self.registry) as registry:
            rows = registry.sql.execute(
                "SELECT gui_rpc_password FROM clients UNION SELECT token FROM boots UNION SELECT hash FROM tokens"
                " UNION SELECT json_extract(details, '$.spent') FROM events WHERE kind = 'TokenExchanged'"
            )
            return {row[0] for row in rows if row[0]} | {ACCOUNT_KEY, self.reader, self.writer}
