"""The house: imports run downward only, pure modules stay pure, files fit in a head."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(p for folder in ("appliance", "services", "image") for p in (ROOT / folder).rglob("*.py"))
BENCH = sorted((ROOT / "bench").rglob("*.py"))
FORBIDDEN = {
    "services": {"appliance", "image", "tests", "bench"},
    "image": {"appliance", "services", "tests", "bench"},
    "appliance": {"tests", "bench"},
}
# Of the tests, what the bench stands on: namespaces, processes, a release to serve, scripted PCs.
LENT_TO_BENCH = ("tests.room.", "tests.netns.", "tests.fakes.")
IMPURE = {"asyncio", "socket", "sqlite3", "scapy", "structlog", "subprocess", "time"}
PURE = (
    "appliance/policy.py",
    "appliance/loaders.py",
    "appliance/grants.py",
    "appliance/exportrequest.py",
    "appliance/timeline.py",
    "appliance/allowlist.py",
    "appliance/menusettings.py",
    "appliance/bootmenu.py",
    "appliance/adaptation.py",
    "appliance/dhcpsettings.py",
    "appliance/tftpsettings.py",
    "appliance/tomlvalues.py",
    "appliance/learned.py",
    "appliance/passwords.py",
    "services/dhcp/proxy.py",
    "services/dhcp/recent.py",
    "services/dhcp/firmware.py",
    "services/dhcp/quirks.py",
    "services/dhcp/fingerprint.py",
    "services/dhcp/profile.py",
    "services/dhcp/lease.py",
    "services/dhcp/lease_reply.py",
    "services/dhcp/leasing.py",
    "services/dhcp/pool.py",
    "services/dhcp/snippets.py",
    "services/tftp/transfer.py",
    "services/tftp/deadlines.py",
    "services/menus/ipxe.py",
    "services/http/authorization.py",
    "services/http/answers.py",
    "services/http/messages.py",
    "services/http/patience.py",
    "services/http/paths.py",
    "services/http/reports.py",
    "services/menus/menu.py",
    "services/menus/grub.py",
    "services/menus/pxelinux.py",
    "services/tftp/paths.py",
    "services/nfs/exports.py",
    "services/nfs/etab.py",
    "services/boinc/files.py",
    "services/ethernet.py",
    "services/events.py",
    "services/decision.py",
    *(
        f"services/probe/{name}.py"
        for name in ("attempt", "explanation", "firmware", "message", "script", "transfers", "verdict")
    ),
    "appliance/doctor/finding.py",
    "appliance/doctor/pointers.py",
    "appliance/doctor/ruleset.py",
    "image/recipe.py",
    "image/commandline.py",
    "image/livebuild.py",
    *(f"bench/{name}.py" for name in ("goals", "measure", "report", "svg")),
)
# Where each foreign library's objects stop: the codec or the edge that wraps it.
CONFINED = {
    "scapy": {"services/dhcp/packet.py", "services/probe/codec.py", "services/probe/capture.py"},
    "tftpy": {"services/tftp/packet.py", "services/probe/loader.py"},
    "httptools": {"services/http/messages.py"},
    "sqlite3": {"appliance/registry.py", "appliance/schema.py"},
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_downward_only(path: Path) -> None:
    assert not set(imports(path)) & FORBIDDEN[path.relative_to(ROOT).parts[0]]


@pytest.mark.parametrize("path", BENCH, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_bench_stands_on_the_room_and_not_on_tests(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.startswith(("from tests", "import tests"))]
    assert all(line.split()[1].startswith(LENT_TO_BENCH) for line in lines)


def test_only_its_own_tests_know_the_bench() -> None:
    users = [p for p in (ROOT / "tests").rglob("*.py") if "bench" in set(imports(p))]
    assert {p.parent for p in users} == {ROOT / "tests" / "unit" / "bench"}


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_does_no_io(name: str) -> None:
    assert not set(imports(ROOT / name)) & IMPURE


@pytest.mark.parametrize(("library", "homes"), CONFINED.items())
def test_a_foreign_library_stops_at_its_codec(library: str, homes: set[str]) -> None:
    users = {str(p.relative_to(ROOT)) for p in SOURCES if library in set(imports(p))}
    assert users == homes


@pytest.mark.parametrize("path", SOURCES + BENCH, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_says_what_it_is_for_and_fits_in_a_head(path: Path) -> None:
    text = path.read_text()
    if text:
        assert ast.get_docstring(ast.parse(text))
    assert text.count("\n") <= 400


def test_a_verb_does_not_pay_for_the_imports_of_another() -> None:
    slow = "{'scapy', 'asyncio', 'rich', 'tftpy', 'appliance.daemon'}"
    line = f"import sys, appliance.cli.main; sys.exit(', '.join({slow} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
