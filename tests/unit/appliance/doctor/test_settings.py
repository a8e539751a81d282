"""How the doctor judges the configuration, the allowlist, the image and the boot loaders."""

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from appliance.config.file import parse
from appliance.doctor import image, settings
from appliance.doctor.finding import Severity
from appliance.doctor.image import Loader
from appliance.images.notes import UpdateCheck
from image.activation import CheckedRelease, Seal
from image.bootfiles import BootFileError
from image.recipe import ImageRecipe
from image.release import Release, ReleaseError
from image.updates import PackageUpdate

RELEASE = Release(Path("/i/20270101-000000-12345678"), datetime(2027, 1, 1, tzinfo=UTC), ImageRecipe(), "", "6.1", {})


@pytest.mark.parametrize(
    ("mode", "secret", "severity"),
    [
        (0o100600, True, Severity.OK),
        (0o100640, True, Severity.OK),
        (0o100644, False, Severity.OK),
        (0o100644, True, Severity.WARNING),
        (0o100666, False, Severity.ERROR),
    ],
)
def test_the_configuration_keeps_its_key(mode: int, secret: bool, severity: Severity) -> None:
    found = settings.judge_permissions(Path("/c"), mode, secret)
    assert (found.check, found.severity) == ("configuration", severity)
    assert severity is Severity.OK or found.what_to_do == "chmod o-rwx /c"


def test_project_and_allowlist() -> None:
    assert settings.judge_project("https://a.example/").severity is Severity.OK
    assert settings.judge_project("").severity is Severity.WARNING
    assert settings.judge_allowlist(1).severity is Severity.OK
    found = settings.judge_allowlist(0)
    assert found.severity is Severity.WARNING
    assert found.what_to_do == "allow the PCs: netboot-appliance allow add MAC"


def test_a_project_server_in_the_local_network_needs_an_exception() -> None:
    addresses = [IPv4Address("10.0.0.8")]
    (found,) = settings.judge_project_server("boinc.office.example", addresses, [IPv4Network("10.0.1.0/24")])
    assert (found.severity, found.check) == (Severity.ERROR, "project-server")
    assert 'add "10.0.0.8" to lan in [boinc]' in found.what_to_do
    assert settings.judge_project_server("boinc.office.example", addresses, [IPv4Network("10.0.0.0/24")]) == []
    assert settings.judge_project_server("boinc.example.org", [IPv4Address("8.8.8.8")], []) == []


NAMES = {"project.office.example": "10.0.0.8", "proxy.office.example": "10.0.0.9", "science.example": "8.8.8.8"}
OURS = '[project]\nurl = "https://project.office.example/"\naccount_key = "x"\n'
THEIRS = '[project]\nurl = "https://science.example/"\naccount_key = "x"\n'
MANAGED = '[account_manager]\nurl = "https://project.office.example/"\nname = "x"\npassword = "x"\n'
PROXY = '[boinc]\nproxy = "http://proxy.office.example:3128"\n'


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        (OURS, ["project.office.example"]),
        (MANAGED, ["project.office.example"]),
        (THEIRS, []),
        (OURS + PROXY, ["proxy.office.example"]),
        (OURS + PROXY + 'no_proxy = ["project.office.example"]', ["proxy.office.example", "project.office.example"]),
        (OURS + '[boinc]\nproxy = "http://10.0.0.9:3128"', []),
        (OURS + PROXY + 'network = "all"', []),
        (OURS + PROXY + 'lan = ["10.0.0.0/24"]', []),
    ],
)
def test_each_name_that_boinc_connects_to_is_looked_up(
    monkeypatch: pytest.MonkeyPatch, text: str, closed: list[str]
) -> None:
    def found(host: str, *arguments: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", (NAMES[host], 0))]

    monkeypatch.setattr("socket.getaddrinfo", found)
    findings = settings.check_project_server(parse(text, Path("/c")))
    assert [finding.what.partition(" ")[0] for finding in findings] == closed


def test_the_image() -> None:
    assert [f.severity for f in image.judge_image(RELEASE, [])] == [Severity.OK]
    (none,) = image.judge_image(None, [])
    assert (none.severity, none.what) == (Severity.ERROR, "no image is active")
    damaged = image.judge_image(RELEASE, ["vmlinuz is not what was built", "initrd.img cannot be read"])
    assert [f.severity for f in damaged] == [Severity.ERROR] * 2
    assert damaged[0].what == f"the active image {RELEASE.id} is damaged: vmlinuz is not what was built"
    (broken,) = image.judge_broken(ReleaseError("vmlinuz is missing", "build again"))
    assert broken.what_to_do == "build again; or: netboot-appliance image rollback"


def test_updates_that_are_known_are_told_and_holes_are_warned_of() -> None:
    plain = PackageUpdate("bash", "5.1", "5.2", security=False)
    found = image.judge_image(RELEASE, [], updates=UpdateCheck(1000.0, (plain,)), now=8200.0)
    assert [f.severity for f in found] == [Severity.OK, Severity.NOTE]
    assert found[1].what.endswith(f"{RELEASE.id}: 1 update; checked 2 h ago")
    hole = PackageUpdate("openssl", "1", "2", security=True)
    found = image.judge_image(RELEASE, [], updates=UpdateCheck(1000.0, (hole, plain)), now=8200.0)
    assert [f.severity for f in found] == [Severity.OK, Severity.WARNING]
    assert found[1].why == "holes that are known stay open on the PCs: openssl"
    assert found[1].what_to_do == "sudo netboot-appliance image update"
    assert len(image.judge_image(RELEASE, [], updates=UpdateCheck(1000.0, ()), now=8200.0)) == 1


def test_another_image_than_the_default_one() -> None:
    (unbuilt,) = image.judge_image(None, [], image="lab")
    assert (unbuilt.severity, unbuilt.what_to_do) == (Severity.NOTE, "sudo netboot-appliance image build lab")
    (wanted,) = image.judge_image(None, [], image="lab", entries=2)
    assert (wanted.severity, wanted.what) == (Severity.ERROR, "the image lab has no active release")
    assert wanted.what_to_do.startswith("build it: sudo netboot-appliance image build lab; or give them another: ")
    (damaged,) = image.judge_image(RELEASE, ["vmlinuz is not what was built"], image="lab", entries=2)
    assert "image rollback lab" in damaged.what_to_do
    (broken,) = image.judge_broken(ReleaseError("vmlinuz is missing", "build again"), "lab")
    assert broken.what_to_do == "build again; or: netboot-appliance image rollback lab"
    assert "no PC of the image lab" in broken.why


@pytest.mark.parametrize(
    ("state", "served", "severity"),
    [
        (Loader.SAME, True, Severity.OK),
        (Loader.MISSING, True, Severity.ERROR),
        (Loader.DIFFERENT, True, Severity.WARNING),
        (BootFileError("undionly.kpxe is not there", "install it"), True, Severity.ERROR),
        (BootFileError("undionly.kpxe is not there", "install it"), False, Severity.ERROR),
        (Loader.MISSING, False, Severity.OK),
        (Loader.DIFFERENT, False, Severity.OK),
    ],
)
def test_the_boot_loaders(state: Loader | BootFileError, served: bool, severity: Severity) -> None:
    (found,) = image.judge_boot_loaders({"undionly.kpxe": state, "snponly.efi": Loader.SAME}, served)
    assert (found.check, found.severity) == ("boot-loaders", severity)
    assert "undionly.kpxe" in found.what


@pytest.mark.parametrize(
    ("seal", "required", "found"),
    [
        (Seal.GOOD, True, []),
        (Seal.MISSING, False, []),
        (Seal.MISSING, True, ["the active image 20270101-000000-12345678 is not signed"]),
        (
            Seal.FOREIGN,
            False,
            ["the active image 20270101-000000-12345678 is signed by no key that is trusted here, or changed since"],
        ),
    ],
)
def test_a_signature_that_would_not_let_the_image_be_activated_is_a_warning(
    seal: Seal, required: bool, found: list[str]
) -> None:
    findings = image.judge_signature(CheckedRelease(RELEASE, (), seal), required)
    assert [each.what for each in findings] == found
    assert {each.severity for each in findings} <= {Severity.WARNING}
