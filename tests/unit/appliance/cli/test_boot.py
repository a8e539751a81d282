"""`boot next` as its user types it."""

import pytest

from appliance.errors import UserError
from tests.unit.appliance.cli.box_with_releases import OLD, PC, BoxWithReleases


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("boot", "next", PC, "local"), "is not allowed; nothing was changed"),
        (("boot", "next", PC, "disk"), "'disk' is not an entry of the menu"),
        (("boot", "next", PC), "name an entry or use --clear"),
        (("boot", "next", PC, "local", "--clear"), "name an entry or use --clear"),
    ],
)
def test_bad_input(box: BoxWithReleases, arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(UserError) as caught:
        box.run(*arguments)
    assert words in caught.value.message
    assert caught.value.code == 2
    assert box.run("allow", "export") == ""


def test_boot_next(box: BoxWithReleases) -> None:
    box.run("allow", "add", PC)
    assert box.run("boot", "next", PC, "rescue") == f"{PC} starts rescue at its next boot\n"
    shown = box.run("menu", "show", "--for", PC)
    assert "default   rescue (boot next)" in shown
    assert "timeout   0: no menu is shown, the default starts at once (boot next)" in shown
    assert box.status()["next_boots"] == [{"mac": PC, "entry": "rescue", "taken": False}]
    assert box.run("boot", "next", PC, "--clear") == f"{PC} boots normally\n"
    assert box.run("boot", "next", PC, "--clear") == f"no entry was set for the next boot of {PC}\n"
    assert box.status()["next_boots"] == []


def test_boot_next_of_what_there_is_not(box: BoxWithReleases) -> None:
    box.run("allow", "add", PC)
    for entry, words in (("memtest", "the active image has none"), (f"image:{OLD}0", "is not an entry")):
        with pytest.raises(UserError, match=r"memtest: |is not an entry") as caught:
            box.run("boot", "next", PC, entry)
        assert words in caught.value.message
    with pytest.raises(UserError, match="this release no longer exists"):
        box.run("boot", "next", PC, "image:20200101-000000-00000000")
    assert box.run("boot", "next", PC, f"image:{OLD}").endswith("at its next boot\n")
