"""An administrator at the page of a server in a container: logs in and sends its forms, as a browser does."""

import html
import re

from tests.netns.page_visitor import Visitor
from tests.server.container import Container

PASSWORD = "correct horse battery"


class Administrator:
    """Somebody who is logged in, on the server's own network."""

    def __init__(self, server: Container) -> None:
        server.run(f"printf '%s\\n' '{PASSWORD}' | netboot-appliance control password --stdin")
        self.visitor = Visitor(server.host, "10.77.0.1")
        assert self.visitor.log_in(PASSWORD).status == 303
        shown = self.visitor.ask("GET", "/images").text
        found = re.search(r'name="csrf" value="([^"]+)"', shown)
        assert found, shown
        self.secret = found[1]

    def images(self) -> str:
        """What the page of images says."""
        return _text(self.visitor.ask("GET", "/images").text)

    def asks(self, verb: str, release: str = "") -> str:
        """Press a button of that page, and what the page then says."""
        form = {"verb": verb, "release": release, "csrf": self.secret}
        answer = self.visitor.ask("POST", "/images", form, HX_Request="true")
        assert answer.status == 200, answer.text
        return _text(answer.text)


def _text(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())
