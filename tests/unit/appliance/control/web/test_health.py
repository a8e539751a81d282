"""The doctor on the page: a program of its own, once at a time, bounded, and read whatever it says."""

import json
import sys
from pathlib import Path

import pytest

from appliance.control.doctor_runs import DoctorRuns, command
from appliance.view import health
from tests.unit.appliance.control.web.browser import Browser, text

FOUND = {
    "worst": "error",
    "findings": [
        {"check": "a", "severity": "ok", "what": "the interface is up", "why": "", "what_to_do": ""},
        {"check": "b", "severity": "error", "what": "<b>no image</b>", "why": "PCs wait", "what_to_do": "image build"},
    ],
}


def says(page: Browser, printed: str, status: int = 0) -> None:
    """The doctor prints this, and ends with this status."""
    line = f"print({printed!r}); raise SystemExit({status})"
    page.app.state.doctor = DoctorRuns((sys.executable, "-c", line), page.context.clock)


async def test_it_is_run_and_shows_the_worst_first(page: Browser) -> None:
    assert "Not examined since this page was started" in text(await page.get("/health"))
    says(page, json.dumps(FOUND), 2)
    page.scripts = True
    part = await page.post("/health")
    assert "It is examining this box" in text(part)
    assert 'hx-trigger="every 1s"' in part
    await page.app.state.doctor.wait(30)
    after = await page.get("/health/now")
    assert text(after).index("<b>no image</b> PCs wait image build") < text(after).index("interface is up")
    assert "Errors: 1" in text(after)
    assert "Last examined" in text(after)
    assert "every 1s" not in after
    assert "<b>" not in after


async def test_one_at_a_time_and_without_scripts_the_page_is_shown_again(page: Browser, tmp_path: Path) -> None:
    begun, go = tmp_path / "begun", tmp_path / "go"
    line = (
        f"import os, time\nopen({str(begun)!r}, 'a').write('x')\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)\nprint('{{}}')"
    )
    page.app.state.doctor = DoctorRuns((sys.executable, "-c", line), page.context.clock)
    for _ in range(3):
        assert await page.post("/health") == "/health"
    go.touch()
    await page.app.state.doctor.wait(30)
    assert begun.read_text() == "x"
    assert "The examination failed. the doctor said: {}" in text(await page.get("/health"))


@pytest.mark.parametrize(
    ("printed", "status", "words"),
    [
        ("", 0, "it said nothing"),
        ("[" * 100_000, 0, "the doctor said: [[["),
        ('{"findings": [{"severity": "ok"}]}', 0, "the doctor said"),
        ("error: a bad configuration", 3, "ended with status 3: error: a bad configuration"),
    ],
)
async def test_a_doctor_that_fails_is_said(page: Browser, printed: str, status: int, words: str) -> None:
    says(page, printed, status)
    await page.post("/health")
    await page.app.state.doctor.wait(30)
    assert words in text(await page.get("/health"))


def test_what_it_says_is_bounded() -> None:
    many = {"findings": [FOUND["findings"][1] | {"what": "x" * 9000}] * 2000}  # type: ignore[operator]
    report = health.read(json.dumps(many), 1.0, 1.0)
    assert (len(report.findings), len(report.findings[0].what), report.worst) == (500, 4096, "error")


def test_the_command_is_the_doctor_of_this_installation(tmp_path: Path) -> None:
    import subprocess

    done = subprocess.run([*command(tmp_path / "none.toml"), "--help"], capture_output=True, text=True, check=True)
    assert "Find what keeps PCs from booting" in done.stdout
