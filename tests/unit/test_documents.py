"""The documents: lines that fit a screen, links that lead somewhere, and file names that exist."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    ROOT / name for name in subprocess.check_output(["git", "ls-files", "*.md"], cwd=ROOT, text=True).splitlines()
)
LONGEST = 120
_LINK = re.compile(r"\]\(([^)#\s]+)?(?:#([^)\s]+))?\)")
_FILE = re.compile(r"`((?:appliance|services|image|tests|bench|systemd|packaging|debian|docs)/[\w./-]*\w)`")


def prose(text: str) -> list[tuple[int, str]]:
    """The lines, by number, that are neither code, nor a table, nor written by the bench."""
    found, code, bench = [], False, False
    for number, line in enumerate(text.splitlines(), 1):
        code ^= line.lstrip().startswith("```")
        bench = (bench or "bench: begin" in line) and "bench: end" not in line
        if not (code or bench or line.startswith(("|", "    ", "```"))):
            found.append((number, line))
    return found


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    titles = (line.lstrip("#").strip().lower() for _, line in prose(text) if line.startswith("#"))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_are_wrapped(path: Path) -> None:
    assert [(number, line) for number, line in prose(path.read_text()) if len(line) > LONGEST] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_merge_was_left_half_done(path: Path) -> None:
    assert re.findall(r"^(?:<{7}|>{7}) .*$", path.read_text(), re.MULTILINE) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    lost = []
    for name, anchor in _LINK.findall(path.read_text()):
        target = path.parent / name if name else path
        if "://" in name:
            continue
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            lost.append((name, anchor))
    assert lost == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named_exist(path: Path) -> None:
    assert [name for name in _FILE.findall(path.read_text()) if not (ROOT / name).exists()] == []
