"""How the doctor judges the NFS server and its exports."""

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from appliance.doctor.finding import Severity
from appliance.doctor.nfs import judge_answer, judge_bounds, judge_file, judge_live, judge_mount, judge_view
from services.nfs.backend import Backend
from services.nfs.exports import Export

FIRST, SECOND = IPv4Address("10.77.0.21"), IPv4Address("10.77.0.22")
ROOT = Export("/i", (FIRST, SECOND), False, 65534, 65534, 1)
STATE = Export("/s/a", (FIRST,), True, 731, 731, 2)
NOBODYS = Export("/s/b", (), True, 731, 731, 3)


def test_the_file() -> None:
    assert judge_file("a", "a", "/e").severity is Severity.OK
    assert judge_file("a", "b", "/e").what == "/e is out of date"
    found = judge_file("a", None, "/e")
    assert (found.check, found.severity, found.what) == ("nfs-exports", Severity.WARNING, "/e does not exist")


def test_exports_in_force() -> None:
    live = {"/i": ("10.77.0.22", "10.77.0.21"), "/s/a": ("10.77.0.21",), "/home": ("*",)}
    found = judge_live([ROOT, STATE, NOBODYS], live)
    assert (found.severity, found.what) == (Severity.OK, "2 of our exports are in force")


def test_exports_not_in_force() -> None:
    found = judge_live([ROOT, STATE], {"/i": ("10.77.0.21",)})
    assert (found.check, found.severity) == ("nfs-exports", Severity.ERROR)
    assert found.what == "the NFS server does not export /i to 10.77.0.22 and 1 more"
    assert "systemctl restart nfs-server" in found.what_to_do


def test_answers() -> None:
    assert judge_answer("mountd", "", "do").severity is Severity.OK
    found = judge_answer("mountd", "it is not registered with the portmapper", "do")
    assert (found.severity, found.what) == (
        Severity.ERROR,
        "mountd does not answer: it is not registered with the portmapper",
    )


def test_handles_stay_inside_their_exports() -> None:
    state = Path("/d/state")
    root, first = replace(ROOT, path="/d/images"), replace(STATE, path="/d/state/525400aabbcc")
    second = replace(first, path="/d/state/525400aabbdd", number=3)
    alone = [replace(each, alone=True) for each in (root, first)]
    for backend, exports in ((Backend.GANESHA, alone), (Backend.KERNEL, [root, alone[1]])):
        assert [each.severity for each in judge_bounds(backend, exports, state)] == [Severity.OK]
    (found,) = judge_bounds(Backend.KERNEL, [root, first, second], state)
    assert (found.severity, found.check) == (Severity.WARNING, "nfs-bounds")
    assert found.what == "the work of 52:54:00:aa:bb:cc, and those of 1 more PCs, is in a plain directory"
    assert "state pack" in found.what_to_do
    works, images = judge_bounds(Backend.GANESHA, [root, first], state)
    assert (works.severity, works.what) == (Severity.ERROR, "the work of 52:54:00:aa:bb:cc is in a plain directory")
    assert (images.severity, images.what[:10]) == (Severity.ERROR, "the images")


def test_ganesha_must_see_what_is_mounted() -> None:
    exports = [replace(ROOT, alone=True), replace(STATE, alone=True), NOBODYS]
    assert judge_view(exports, {"/i", "/s/a", "/"}) == []
    (found,) = judge_view(exports, {"/i", "/"})
    assert (found.severity, found.what) == (Severity.ERROR, "NFS-Ganesha does not see what is mounted on /s/a")


def test_what_the_server_answers_to_a_mount() -> None:
    assert judge_mount("", Backend.GANESHA).severity is Severity.OK
    found = judge_mount("the mount of /i was refused: access denied", Backend.GANESHA)
    assert found.severity is Severity.ERROR
    assert found.what == "root refused by NFS: the mount of /i was refused: access denied"
    assert "systemctl restart nfs-ganesha" in found.what_to_do
