"""The command line of a box with two releases and a menu with a locked entry."""

import json
from pathlib import Path

from typer.testing import CliRunner

from appliance.cli.main import app
from appliance.config import menu_password
from appliance.errors import UserError
from image import release
from tests.unit.image.test_release import publish

PC = "52:54:00:aa:bb:cc"
OLD, NEW = "20261122-090000-aaaaaaaa", "20261123-150102-1a2b3c4d"
MENU = f"""
[menu]
entries = ["boinc", "previous", "local", "rescue", "memtest"]
timeout = 10
locked = ["rescue"]
password = "{menu_password.scrypt("secret")}"
grub_password = "{menu_password.grub("secret")}"
"""


class BoxWithReleases:
    """The older release was active before the newer one."""

    def __init__(self, data: Path) -> None:
        self.data = data
        for each in (OLD, NEW):
            publish(data / "images", each)
            release.activate(data / "images", each)
        self.configure(MENU)

    def configure(self, menu: str) -> None:
        text = f'[server]\ninterfaces = ["lo"]\nhttp_port = 8080\ndata = "{self.data}"\n{menu}'
        (self.data / "c.toml").write_text(text)

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """What it prints; raises the UserError that `run` of the program would print."""
        done = CliRunner().invoke(app, ["--config", str(self.data / "c.toml"), *arguments], input=stdin)
        if isinstance(done.exception, UserError):
            raise done.exception
        assert done.exit_code == 0, done
        return done.stdout

    def status(self) -> dict[str, object]:
        """What `status --json` prints while no server is running."""
        done = CliRunner().invoke(app, ["--config", str(self.data / "c.toml"), "status", "--json"])
        assert done.exit_code == 3
        facts: dict[str, object] = json.loads(done.stdout)
        return facts
