"""Root's helper for images: what it does for the page, and what it refuses."""

import contextlib
import json
import os
import threading
from pathlib import Path

import pytest

from appliance.config.file import load
from appliance.errors import UserError
from appliance.images import build_order, build_unit
from appliance.images.build_order import BuildOrder
from appliance.images.image_request import ImageRequest, ImageVerb, decode, encode
from appliance.images.request_files import ask
from appliance.images.root_helper import serve_requests
from appliance.root_requests import desk
from appliance.root_requests.answer import RootAnswer, digest
from image import activation, release, signature
from image.build import Rebuild
from services.linux import programs
from tests.unit.appliance.cli.box_with_releases import NEW, OLD, BoxWithReleases
from tests.unit.image.test_release import publish


class Box:
    """A box with two releases, and the directories through which the two talk."""

    def __init__(self, folder: Path) -> None:
        (folder / "data").mkdir()
        BoxWithReleases(folder / "data")
        self.ring = load(folder / "data" / "c.toml").key_ring
        signature.make(self.ring)
        for each in (OLD, NEW):
            activation.sign(folder / "data" / "images", each, self.ring)
        self.configuration = folder / "data" / "c.toml"
        self.images = folder / "data" / "images"
        self.desk = desk.desk("image", "image-request", {"RUNTIME_DIRECTORY": str(folder / "box-control")})
        self.request = self.desk.request
        self.request.parent.mkdir()
        self.desk.answer.parent.mkdir()

    @property
    def active(self) -> str | None:
        return release.active_id(self.images)

    def ask(self, content: bytes) -> RootAnswer:
        """Root's answer to these bytes."""
        self.request.write_bytes(content)
        with contextlib.suppress(UserError):
            serve_requests(self.configuration, self.desk)
        found = self.desk.read_answer()
        assert found is not None
        assert found.request == digest(content)
        return found


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_a_release_is_activated_and_rolled_back(box: Box) -> None:
    assert box.active == NEW
    assert box.ask(encode(ImageRequest(ImageVerb.ACTIVATE, OLD))).done == f"active: {OLD}"
    assert box.active == OLD
    assert box.ask(encode(ImageRequest(ImageVerb.ROLLBACK))).done == f"active: {NEW}"
    assert box.active == NEW


def test_what_is_not_signed_is_activated_with_a_warning_and_what_was_changed_is_not(box: Box) -> None:
    signed = box.images / OLD / release.SIGNATURE
    content = signed.read_bytes()
    signed.write_bytes(content[::-1])
    found = box.ask(encode(ImageRequest(ImageVerb.ROLLBACK)))
    assert "signed by no key that is trusted here, or changed since" in found.error
    assert box.active == NEW
    signed.unlink()
    found = box.ask(encode(ImageRequest(ImageVerb.ROLLBACK, once="again")))
    assert found.done == f"active: {OLD}; warning: the release {OLD} is not signed"


def test_a_release_that_there_is_not_is_an_error_with_a_hint(box: Box) -> None:
    found = box.ask(encode(ImageRequest(ImageVerb.ACTIVATE, "20260101-000000-00000000")))
    assert "there is no release" in found.error
    assert found.hint
    assert box.active == NEW


def request(**fields: object) -> bytes:
    """What an honest page writes, but for these fields."""
    honest = {"version": 2, "verb": "activate", "release": OLD, "once": "", "image": ""}
    return json.dumps(honest | fields).encode()


def test_the_request_that_the_next_ones_differ_from_is_carried_out(box: Box) -> None:
    assert box.ask(request()).done == f"active: {OLD}"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[" * 4000,
        b"x" * 5000,
        request(verb="delete"),
        request(release="../../etc"),
        request(release=""),
        request(release=f"{OLD}/../x"),
        request(verb="build"),
        request(verb="rollback"),
        request(verb="stop"),
        request(version=1),
        request(version=3),
        request(version=True),
        request(release=[OLD]),
        request(once="x" * 100),
        request(path="/etc"),
        request(image="lab"),
        request(image=["lab"]),
        request(verb="rollback", release="", image="../lab"),
        request(verb="build", release="", image="/etc"),
        request(verb="stop", release="", image="lab"),
        json.dumps({"version": 2, "verb": "rollback"}).encode(),
    ],
)
def test_what_an_honest_page_does_not_write_changes_nothing(box: Box, content: bytes) -> None:
    if len(content) > 4096:
        box.request.write_bytes(content)
        with pytest.raises(UserError, match="is refused"):
            serve_requests(box.configuration, box.desk)
    else:
        assert "the page's request is refused" in box.ask(content).error
    assert box.active == NEW


def test_an_image_that_root_has_no_directory_for_is_not_built(box: Box) -> None:
    found = box.ask(encode(ImageRequest(ImageVerb.BUILD, image="lab")))
    assert found.error == "there is no image 'lab'; nothing was changed"
    assert "there are: boinc" in found.hint


def test_each_image_is_rolled_back_by_its_name(box: Box) -> None:
    labs = ("20261201-090000-cccccccc", "20261202-090000-dddddddd")
    for each in labs:
        publish(box.images, each, "lab")
        activation.sign(box.images, each, box.ring)
        assert box.ask(encode(ImageRequest(ImageVerb.ACTIVATE, each))).done == f"active: {each}"
    assert box.ask(encode(ImageRequest(ImageVerb.ROLLBACK, image="lab"))).done == f"active: {labs[0]}"
    assert release.active_ids(box.images) == {"boinc": NEW, "lab": labs[0]}


@pytest.mark.parametrize("trap", ["link", "pipe", "folder"])
def test_a_trap_in_its_place_is_not_touched(box: Box, tmp_path: Path, trap: str) -> None:
    path = box.request
    (tmp_path / "elsewhere").write_bytes(encode(ImageRequest(ImageVerb.ROLLBACK)))
    match trap:
        case "link":
            path.symlink_to(tmp_path / "elsewhere")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
    with pytest.raises(UserError, match="is refused"):
        serve_requests(box.configuration, box.desk)
    assert box.active == NEW


@pytest.mark.parametrize(
    ("verb", "rebuild"),
    [(ImageVerb.BUILD, Rebuild.NEVER), (ImageVerb.REBUILD, Rebuild.ALWAYS)],
)
def test_a_build_is_begun_in_its_own_unit(
    box: Box, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: ImageVerb, rebuild: Rebuild
) -> None:
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(build_unit, "DIRECTORY", tmp_path / "unit")
    state = ["inactive"]

    def output(words: tuple[str, ...], **_: object) -> str:
        ran.append(words)
        return f"ActiveState={state[0]}\n"

    monkeypatch.setattr(programs, "output", output)
    assert box.ask(encode(ImageRequest(verb))).done == "the build has begun"
    assert build_order.decode((tmp_path / "unit" / "request").read_text()) == BuildOrder(rebuild)
    assert ran[-1] == ("systemctl", "start", "--no-block", "--no-ask-password", build_unit.UNIT)
    assert box.ask(encode(ImageRequest(ImageVerb.STOP))).done == "no build is under way"
    state[0] = "activating"
    assert box.ask(encode(ImageRequest(verb, once="2"))).done == "a build is under way already"
    assert box.ask(encode(ImageRequest(ImageVerb.STOP, once="2"))).done == "the build is being stopped"
    assert ran[-1] == ("systemctl", "stop", "--no-block", "--no-ask-password", build_unit.UNIT)


def test_debians_updates_go_the_way_of_the_timer(box: Box, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its unit tests a release and gives it to a canary first, as [image] says; a build would activate it at once."""
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(build_unit, "DIRECTORY", tmp_path / "unit")
    busy = ""

    def output(words: tuple[str, ...], **_: object) -> str:
        ran.append(words)
        return f"ActiveState={'activating' if words[-1] == busy else 'inactive'}\n"

    monkeypatch.setattr(programs, "output", output)
    assert box.ask(encode(ImageRequest(ImageVerb.UPDATE))).done == "the update has begun"
    started = [words for words in ran if words[1] == "start"]
    assert started == [("systemctl", "start", "--no-block", "--no-ask-password", build_unit.UPDATE_UNIT)]
    assert not (tmp_path / "unit" / "request").exists()
    for busy, said in ((build_unit.UNIT, "a build is under way"), (build_unit.UPDATE_UNIT, "an update is under way")):
        assert box.ask(encode(ImageRequest(ImageVerb.UPDATE, once=busy))).done == f"{said} already"
    assert len([words for words in ran if words[1] == "start"]) == 1
    shipped = Path(__file__).parents[4] / "systemd" / build_unit.UPDATE_UNIT
    assert "netboot-appliance image update\n" in shipped.read_text()


def test_a_request_is_carried_out_once_however_often_root_is_called(box: Box) -> None:
    assert box.ask(encode(ImageRequest(ImageVerb.ROLLBACK))).done == f"active: {OLD}"
    # Rolling back once more would lead back to the newer one.
    serve_requests(box.configuration, box.desk)
    assert box.active == OLD
    assert box.ask(encode(ImageRequest(ImageVerb.ROLLBACK, once="again"))).done == f"active: {NEW}"


def test_the_page_waits_for_the_answer_to_its_own_request(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.ask(encode(ImageRequest(ImageVerb.ROLLBACK, once="before")))
    helper = threading.Timer(0.3, serve_requests, (box.configuration, box.desk))
    helper.start()
    assert ask(ImageVerb.ACTIVATE, NEW, box.desk).done == f"active: {NEW}"
    helper.join()
    # A request that systemd has missed comes again.
    monkeypatch.setattr(desk, "_AGAIN_SECONDS", 0.1)
    helper = threading.Timer(0.05, box.request.unlink)
    helper.start()
    later = threading.Timer(0.6, serve_requests, (box.configuration, box.desk))
    later.start()
    assert ask(ImageVerb.ROLLBACK, "", box.desk).done == f"active: {OLD}"
    helper.join()
    later.join()
    with pytest.raises(UserError, match="does not answer"):
        box.desk.ask(encode(ImageRequest(ImageVerb.ROLLBACK)), 0.2)


def test_who_asks_beside_another_does_not_wait_long(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "_TURN_SECONDS", 0.1)
    with box.desk._turn, pytest.raises(UserError, match="is being asked for something else"):
        ask(ImageVerb.ROLLBACK, "", box.desk)
    assert not box.request.exists()


def test_the_longest_error_in_any_script_reaches_the_page(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise UserError(2000 * "\N{SLOTH}", 2000 * "\N{SLOTH}")

    monkeypatch.setattr("appliance.images.root_helper._do", fail)
    found = box.ask(encode(ImageRequest(ImageVerb.ROLLBACK)))
    assert (found.error, found.hint) == (1000 * "\N{SLOTH}", 1000 * "\N{SLOTH}")


def test_every_request_reads_back() -> None:
    for verb in ImageVerb:
        asked = ImageRequest(verb, OLD if verb is ImageVerb.ACTIVATE else "", "once")
        assert decode(encode(asked)) == asked
    for verb in (ImageVerb.BUILD, ImageVerb.REBUILD, ImageVerb.ROLLBACK):
        assert decode(encode(ImageRequest(verb, image="lab"))).image == "lab"
        with pytest.raises(ValueError, match="no name"):
            decode(encode(ImageRequest(verb, image="../lab")))
    for verb, name in ((ImageVerb.STOP, ""), (ImageVerb.UPDATE, ""), (ImageVerb.ACTIVATE, OLD)):
        with pytest.raises(ValueError, match="an image where none belongs"):
            decode(encode(ImageRequest(verb, name, image="lab")))
