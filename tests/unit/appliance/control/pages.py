"""The application of the control process in a test: one box in a directory, a clock, and browsers with cookies."""

import hashlib
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import httpx

from appliance.config.control import ControlSettings
from appliance.config.file import Config, ServerSettings
from appliance.config.menu_password import Scrypt
from appliance.control.app import create_app
from appliance.control.context import Context
from appliance.registry.database import Registry

PASSWORD = "correct horse"
# Not as slow as a real one.
_QUICK = Scrypt(2, 8, 1, b"saltsalt", hashlib.scrypt(PASSWORD.encode(), salt=b"saltsalt", n=2, r=8, p=1, dklen=32))
HOST = "10.77.0.1:8443"
BROWSER = "10.77.0.9"


class Site:
    """A box whose page has the password PASSWORD. `now` is its clock."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.now = 1_000_000.0
        config = Config(
            directory / "c.toml", server=ServerSettings(data=directory), control=ControlSettings(**settings)
        )
        networks = (IPv4Network("10.77.0.0/24"),)
        self.context = Context(config.path, config, lambda: self.now, networks=networks, names=("box", "localhost"))
        self.app = create_app(self.context)
        with self.registry() as registry:
            registry.sql.execute("INSERT INTO control VALUES ('password', ?)", (str(_QUICK),))

    def registry(self) -> Registry:
        """The registry, to be closed."""
        return Registry(self.context.config.registry)

    def set(self, **settings: Any) -> None:
        """Change [control]."""
        config = self.context.config
        self.context.config = replace(config, control=replace(config.control, **settings))

    def browser(self, address: str = BROWSER, **headers: str) -> httpx.AsyncClient:
        """A browser at an address, with these headers in each request."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(address, 50000))
        return httpx.AsyncClient(transport=transport, base_url=f"https://{HOST}", headers=headers)

    async def logged_in(self, address: str = BROWSER) -> httpx.AsyncClient:
        """A browser with a session."""
        browser = self.browser(address)
        answer = await browser.post("/login", data={"password": PASSWORD})
        assert answer.status_code == 303, answer.text
        return browser
