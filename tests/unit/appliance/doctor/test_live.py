"""What the doctor says of overlays."""

from pathlib import Path

from appliance.config.file import parse
from appliance.doctor import live
from appliance.doctor.finding import Severity


def check(directory: Path, more: str = "") -> list[tuple[Severity, str]]:
    config = parse(f'[live]\ndirectory = "{directory}"\n{more}', Path("c.toml"))
    return [(each.severity, each.what) for each in live.check(config)]


def test_overlays_that_pcs_get(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    assert check(missing) == [(Severity.OK, f"there are no overlays ({missing})")]
    (tmp_path / "all/files").mkdir(parents=True)
    assert check(tmp_path) == [(Severity.OK, f"the overlays can be used ({tmp_path})")]


def test_overlays_that_they_do_not_get(tmp_path: Path) -> None:
    (tmp_path / "all/hooks").mkdir(parents=True)
    (tmp_path / "all/hooks/10-x").touch(mode=0o644)
    assert check(tmp_path, 'overlay = ["lab"]\n') == [
        (Severity.WARNING, f"{tmp_path}/all/hooks/10-x: cannot be run"),
        (Severity.WARNING, f"{tmp_path}/lab: PCs get this overlay by [live], but there is nothing in it"),
    ]
