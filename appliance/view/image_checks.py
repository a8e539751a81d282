"""What is known of a release beside its manifest, for people and scripts: updates, and its test. PURE."""

from dataclasses import dataclass

from appliance.images.notes import BootTest, UpdateCheck, UpdateRun
from image.updates import PackageUpdate
from services.spans import span


@dataclass(frozen=True, slots=True)
class UpdateCheckView:
    """What a look at the archive found. `checked` is in seconds since the epoch; `updates` has those of security
    first, `security` counts these. `words` are one line."""

    release: str
    checked: float
    security: int
    updates: tuple[PackageUpdate, ...]
    words: str


@dataclass(frozen=True, slots=True)
class BootTestView:
    """How the latest boot of a release in an emulated PC went: when, in seconds since the epoch, and why it failed, if
    it did. `stages` has seconds from power-on by stage. `log` is where its console is kept. `words` are one line."""

    release: str
    tested: float
    passed: bool
    why: str
    firmware: str
    accelerator: str
    stages: dict[str, float]
    log: str
    words: str


def check_view(ident: str, found: UpdateCheck, now: float) -> UpdateCheckView:
    """The look at the archive, at `now`."""
    return UpdateCheckView(ident, found.at, found.security, found.updates, check_words(found, now))


def check_words(found: UpdateCheck, now: float) -> str:
    """Such as `12 updates, 3 of security; checked 2 h ago`."""
    many = len(found.updates)
    updates = f"{many:,} update{'' if many == 1 else 's'}" if many else "no updates"
    security = f", {found.security:,} of security" if found.security else ""
    return f"{updates}{security}; checked {_ago(found.at, now)}"


def boot_test_view(ident: str, found: BootTest, now: float) -> BootTestView:
    """The test of a release, at `now`."""
    return BootTestView(
        ident,
        found.at,
        found.passed,
        found.why,
        found.firmware,
        found.accelerator,
        dict(found.stages),
        found.log,
        boot_test_words(found, now),
    )


def boot_test_words(found: BootTest, now: float) -> str:
    """Such as `passed 2 h ago: reported after 74 s (uefi, tcg)`."""
    how = f"({found.firmware}, {found.accelerator})"
    if not found.passed:
        return f"FAILED {_ago(found.at, now)} {how}: {found.why}"
    stage, seconds = found.stages[-1] if found.stages else ("it came up", 0.0)
    return f"passed {_ago(found.at, now)}: {stage} after {seconds:.0f} s {how}"


def update_run_words(found: UpdateRun, now: float) -> str:
    """Such as `2 h ago: active: 20261130-201330-6697c1f0`."""
    how = f"STOPPED at the stage {found.stage}: " if found.failed else ""
    return f"{_ago(found.at, now)}: {how}{found.words}{f' (do: {found.hint})' if found.failed and found.hint else ''}"


def update_stages_words(test: bool, canary: str) -> str:
    """What `image update` does with a new release, by [image] test and canary."""
    tried = " boots it in an emulated PC," if test else ""
    given = f"gives it to {canary} first" if canary else "makes it the active one"
    return f"looks for updates of all images, builds a release with them,{tried} and {given}"


def _ago(at: float, now: float) -> str:
    return f"{span(now - at)} ago" if now - at >= 1 else "just now"
