"""What all pages share: escaping, words, static files, and that nothing comes from elsewhere."""

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from appliance.control.web.templating import STATIC, asset, commands, environment
from appliance.diagnosis import fault

TEMPLATES = sorted((STATIC.parent / "templates").rglob("*.html"))
OWN = sorted(
    path for path in STATIC.rglob("*") if path.suffix in (".css", ".js", ".svg") and "vendor" not in path.parts
)


def test_everything_is_escaped() -> None:
    assert environment.autoescape is True
    template = environment.from_string('{{ words }}{{ words | commands }}<i title="{{ words }}">')
    shown = template.render(words="<b>\"'& netboot-appliance doctor")
    assert "<b>" not in shown
    assert shown.count("&lt;b&gt;&#34;&#39;&amp;") == 3


def test_what_steers_a_browser_is_shown_as_escapes() -> None:
    template = environment.from_string('{{ words }}|{{ words | commands }}|{{ words | e }}|<i title="{{ words }}">')
    shown = template.render(words="\u202eevil\x1b[2J\r\nnext\x00")
    safe = "\\u202eevil\\x1b[2J\\r\nnext\\x00"
    assert shown == f'{safe}|{safe}|\u202eevil\x1b[2J\r\nnext\x00|<i title="{safe}">'


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("then: netboot-appliance reload", "then: <code>netboot-appliance reload</code>"),
        ("sudo netboot-appliance exports apply; x", "<code>sudo netboot-appliance exports apply</code>; x"),
        ("netboot-appliance doctor looks at NFS", "<code>netboot-appliance doctor</code> looks at NFS"),
        ("netboot-appliance doctor probe MAC fetches", "<code>netboot-appliance doctor probe MAC</code> fetches"),
        ("run netboot-appliance doctor pcap FILE", "run <code>netboot-appliance doctor pcap FILE</code>"),
        ("netboot-appliance allow add MAC --root nfs;", "<code>netboot-appliance allow add MAC --root nfs</code>;"),
        (
            "netboot-appliance order 52:54:00:00:00:01 finish.",
            "<code>netboot-appliance order 52:54:00:00:00:01 finish</code>.",
        ),
        (fault.READ_ONLY, "look at the server&#39;s disk and its log (<code>journalctl -k</code>); then"
         " <code>sudo netboot-appliance exports apply</code>"),
        ("restart the PC", "restart the PC"),
    ],
)  # fmt: skip
def test_commands_are_marked(text: str, marked: str) -> None:
    assert commands(text) == marked


def test_the_vendored_scripts_are_those_that_were_checked() -> None:
    vendor = STATIC / "vendor"
    listed = sorted((vendor / "SHA256SUMS").read_text().splitlines())
    scripts = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in vendor.glob("*.js")}
    assert listed == sorted(f"{digest}  {name}" for name, digest in scripts.items())
    assert {f"{name.removesuffix('.min.js')}.LICENSE" for name in scripts} <= {path.name for path in vendor.iterdir()}


def test_the_address_of_a_file_changes_with_the_file() -> None:
    digest = hashlib.sha256((STATIC / "style.css").read_bytes()).hexdigest()
    assert asset("style.css") == f"/static/style.css?{digest[:12]}"


class _Page(HTMLParser):
    """Collects what a page would fetch or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "action", "data", "poster", "srcset") and re.match(r"\s*(\w+:|//)", value or ""):
                self.found.append(f"{tag} {name}={value}")
            if name == "style" or name.startswith(("on", "hx-on")):
                self.found.append(f"{tag} {name}")
        if tag == "style" or (tag == "script" and not dict(attrs).get("src")):
            self.found.append(tag)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_brings_nothing_from_outside_and_nothing_inline(path: Path) -> None:
    page = _Page()
    page.feed(path.read_text())
    assert page.found == []


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_own_files_name_nothing_outside(path: Path) -> None:
    text = path.read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|//\w|@import|url\(", re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
