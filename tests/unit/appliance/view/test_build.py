"""The latest build, as the page, the API and `image log` show it."""

import json

from appliance.images.build_record import BuildRecord, OutputLine
from appliance.view.build import BuildView, build_view

BEGAN = 1000.0
FIRST = json.dumps({"invocation": "r1", "began": BEGAN, "stages": 7})
STEP = json.dumps({"progress": {"stage": "chroot", "number": 4, "step": "Unpacking \x1b[1mlinux", "elapsed": 61.4}})
LINES = (OutputLine(8, "Unpacking linux"), OutputLine(9, "Setting up linux"))


def view(*lines: str, busy: bool = True, now: float = BEGAN + 90) -> BuildView:
    found = build_view(BuildRecord("r1", busy, (FIRST, *lines), LINES), now)
    assert found is not None
    return found


def test_a_build_at_work_says_how_far_it_is() -> None:
    found = view(STEP)
    assert (found.running, found.number, found.stages, found.stage) == (True, 4, 7, "chroot")
    assert (found.began, found.elapsed, found.step) == (BEGAN, 90.0, "Unpacking linux")
    assert (found.lines, found.release, found.error) == (LINES, "", "")


def test_how_long_it_may_take_yet_is_said_while_it_runs() -> None:
    def with_left(left: object, *end: str, now: float = BEGAN + 90) -> float | None:
        progress = {"stage": "chroot", "number": 4, "step": "x", "elapsed": 60.0, "left": left}
        return view(json.dumps({"progress": progress}), *end, now=now).left

    # It was written 30 s ago.
    assert with_left(300.0) == 270.0
    assert with_left(300.0, now=BEGAN + 900) == 0.0
    assert with_left(300.0, json.dumps({"releases": ["r"], "ended": BEGAN + 70})) is None
    for unknown in (None, "x", float("nan"), float("inf"), [1]):
        assert with_left(unknown) is None


def test_how_many_bytes_there_are_is_said_while_it_runs() -> None:
    known = {"stage": "packages", "number": 4, "step": "x", "elapsed": 9.0, "done": 3, "total": 9}
    line = json.dumps({"progress": known})
    assert (view(line).done, view(line).total) == (3, 9)
    made = view(line, json.dumps({"releases": ["20261123-150102-1a2b3c4d"], "ended": BEGAN + 70}))
    assert (made.done, made.total) == (None, None)
    wrong = json.dumps({"progress": known | {"done": -1, "total": "x"}})
    assert (view(wrong).done, view(wrong).total) == (None, None)


def test_before_its_first_stage_nothing_is_said_of_the_build_before() -> None:
    found = build_view(BuildRecord("r2", busy=True), BEGAN)
    assert found == BuildView("r2", True, "", 0, 0, "", None, 0.0, ())


def test_an_end_says_what_became_of_it_and_how_long_it_took() -> None:
    made = view(STEP, json.dumps({"releases": ["20261123-150102-1a2b3c4d"], "ended": BEGAN + 70}))
    # systemd needs a moment to notice that it has ended.
    assert (made.running, made.release, made.elapsed) == (False, "20261123-150102-1a2b3c4d", 70.0)
    wrong = {"message": "lb config http://me:s3cret@proxy ended", "hint": "make room", "tail": [], "paste": "x"}
    failed = view(STEP, json.dumps({"error": wrong, "ended": BEGAN + 65}), busy=False)
    assert (failed.error, failed.hint) == ("lb config http://…@proxy ended", "make room")
    assert (failed.stage, failed.number, failed.elapsed) == ("chroot", 4, 65.0)


def test_a_build_that_was_killed_has_no_result() -> None:
    found = view(STEP, busy=False)
    assert (found.running, found.elapsed) == (False, 61.4)
    assert found.error == "it ended without a result"
    assert "journalctl -u netboot-appliance-image" in found.hint


def test_what_is_damaged_is_left_out() -> None:
    assert build_view(BuildRecord(), BEGAN) is None
    damaged = (
        "[" * 100_000,
        "null",
        "{}",
        '{"progress": {"elapsed": "x"}}',
        '{"progress": {"elapsed": 5, "stage": 7}}',
    )
    found = view(*damaged)
    assert (found.stage, found.number, found.step) == ("", 0, "")
