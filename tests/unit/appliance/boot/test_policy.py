"""Who boots what, case by case."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from appliance.allowlist import Allowlist, Entry
from appliance.boot import policy
from appliance.config.loaders import Loaders
from appliance.journal.timeline import Boot, Reached, Stage
from services.decision import Ignore, Reason
from services.dhcp.plan import BootPlan, Profile
from services.dhcp.pxe_rules import BootRequest
from services.ethernet import MacAddress, MacRange

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
STRANGER = MacAddress.parse("52:54:00:00:00:01")
ALLOWED = Allowlist.of([Entry(MacRange(MAC, MAC))])
PEER = IPv4Address("10.0.0.5")


@pytest.mark.parametrize(
    ("asked", "release", "decision"),
    [
        (BootRequest(MAC, (0,), False), "r", BootPlan("525400aabbcc/undionly.kpxe")),
        (BootRequest(MAC, (7,), False), "r", BootPlan("525400aabbcc/snponly.efi")),
        (BootRequest(MAC, (9,), False), "r", BootPlan("525400aabbcc/snponly.efi")),
        (BootRequest(MAC, (6,), False), "r", BootPlan("525400aabbcc/ia32.efi")),
        (BootRequest(MAC, (7,), True), "r", BootPlan("http://10.0.0.1/boot/525400aabbcc/boot.ipxe")),
        (BootRequest(MAC, (16,), False, True), "r", BootPlan("http://10.0.0.1/boot/525400aabbcc/loader/snponly.efi")),
        (BootRequest(MAC, (15,), False, True), "r", BootPlan("http://10.0.0.1/boot/525400aabbcc/loader/ia32.efi")),
        (BootRequest(MAC, (11, 7), False), "r", BootPlan("525400aabbcc/snponly.efi")),
        (BootRequest(MAC, (11,), False), "r", Ignore(Reason.NO_LOADER)),
        (BootRequest(MAC, (19,), False, True), "r", Ignore(Reason.NO_LOADER)),
        (BootRequest(MAC, (7,), False), None, Ignore(Reason.NO_IMAGE)),
        (BootRequest(STRANGER, (7,), False), "r", Ignore(Reason.NOT_ALLOWED)),
    ],
)
def test_what_dhcp_offers(asked: BootRequest, release: str | None, decision: BootPlan | Ignore) -> None:
    loaders = Loaders(uefi_ia32="ia32.efi", uefi_arm64="").by_machine
    planned = policy.plan(asked, loaders=loaders, allowlist=ALLOWED, release=release, base_url="http://10.0.0.1")
    assert planned == decision


@pytest.mark.parametrize(
    ("asked", "boot_file"),
    [
        (BootRequest(MAC, (7,), False), "525400aabbcc/shimx64.efi"),
        (BootRequest(MAC, (7,), True), "525400aabbcc/shimx64.efi"),
        (BootRequest(MAC, (0,), False), "525400aabbcc/pxelinux.0"),
        (BootRequest(MAC, (0,), True), "525400aabbcc/pxelinux.0"),
        (BootRequest(MAC, (11,), True), "http://10.0.0.1/boot/525400aabbcc/boot.ipxe"),
    ],
)
def test_a_card_with_ipxe_gets_grub_and_pxelinux_like_any_other(asked: BootRequest, boot_file: str) -> None:
    loaders = Loaders(bios="pxelinux.0", uefi_x64="shimx64.efi", uefi_arm64="ipxe-arm64.efi").by_machine
    planned = policy.plan(asked, loaders=loaders, allowlist=ALLOWED, release="r", base_url="http://10.0.0.1")
    assert planned == BootPlan(boot_file)


@pytest.mark.parametrize(
    ("asked", "profile", "decision"),
    [
        (BootRequest(MAC, (7,), False), Profile.DELAYED, BootPlan("525400aabbcc/snponly.efi", Profile.DELAYED)),
        (BootRequest(MAC, (7,), False), Profile.SHIM, BootPlan("525400aabbcc/shimx64.efi", Profile.SHIM)),
        (BootRequest(MAC, (7,), True), Profile.SHIM, BootPlan("http://10.0.0.1/boot/525400aabbcc/boot.ipxe")),
        (
            BootRequest(MAC, (16,), False, True),
            Profile.SHIM,
            BootPlan("http://10.0.0.1/boot/525400aabbcc/loader/snponly.efi"),
        ),
    ],
)
def test_a_profile_is_for_firmware_that_boots_by_pxe(asked: BootRequest, profile: Profile, decision: BootPlan) -> None:
    loaders = Loaders().by_machine
    url = "http://10.0.0.1"
    planned = policy.plan(asked, loaders=loaders, allowlist=ALLOWED, release="r", base_url=url, profile=profile)
    assert planned == decision


def test_a_raspberry_pi_needs_no_image_because_it_boots_something_else() -> None:
    asked = BootRequest(MAC, (41,), False)
    loaders = Loaders(raspberry_pi="pi").by_machine
    planned = policy.plan(asked, loaders=loaders, allowlist=ALLOWED, release=None, base_url="http://10.0.0.1")
    assert planned == BootPlan("bootcode.bin")


@pytest.mark.parametrize(
    ("claimed", "neighbour", "on_link", "decision"),
    [
        (MAC, MAC, True, MAC),
        (None, MAC, True, MAC),
        (MAC, STRANGER, True, Ignore(Reason.MAC_MISMATCH)),
        (STRANGER, STRANGER, True, Ignore(Reason.NOT_ALLOWED)),
        (None, STRANGER, True, Ignore(Reason.NOT_ALLOWED)),
        (MAC, None, True, Ignore(Reason.UNKNOWN_NEIGHBOUR)),
        (MAC, None, False, MAC),
        (STRANGER, None, False, Ignore(Reason.NOT_ALLOWED)),
        (None, None, False, Ignore(Reason.NO_CLAIM)),
    ],
)
def test_who_a_peer_is(
    claimed: MacAddress | None, neighbour: MacAddress | None, on_link: bool, decision: MacAddress | Ignore
) -> None:
    networks = [IPv4Network("10.0.0.0/24")]
    assert decision == policy.admit(
        claimed, neighbour, peer=PEER, on_link=on_link, allowlist=ALLOWED, networks=networks
    )


def test_a_routed_peer_outside_the_networks_is_refused() -> None:
    decision = policy.admit(
        MAC, None, peer=PEER, on_link=False, allowlist=ALLOWED, networks=[IPv4Network("10.1.0.0/24")]
    )
    assert decision == Ignore(Reason.OUTSIDE_NETWORKS)


OPEN = Boot(1, MAC, 0.0, token="right", release="r", last_event=0.0, reached=(Reached(Stage.SCRIPT, 0.0),))


def test_a_token_opens_the_secrets_of_its_own_boot_until_it_has_reported() -> None:
    assert policy.secrets(OPEN, "right") == OPEN
    assert policy.secrets(OPEN, "wrong") == Ignore(Reason.TOKEN_INVALID)
    assert policy.secrets(OPEN, "") == Ignore(Reason.TOKEN_INVALID)
    assert policy.secrets(OPEN, "röght") == Ignore(Reason.TOKEN_INVALID)
    assert policy.secrets(None, "right") == Ignore(Reason.NO_BOOT)
    assert policy.secrets(replace(OPEN, reached=()), "right") == Ignore(Reason.NO_BOOT)
    reported = replace(OPEN, reached=(*OPEN.reached, Reached(Stage.REPORTED, 1.0)))
    assert policy.secrets(reported, "right") == Ignore(Reason.TOKEN_SPENT)
    assert policy.current(reported, "right") == reported


def test_an_exchange_is_repeated_for_a_while() -> None:
    spent = policy.reporting_token("right")
    after = replace(OPEN, token="other", exchanged=100.0, spent_token=spent)
    for old, new in (("right", "other"), (spent, policy.reporting_token("other"))):
        assert policy.exchange(after, old, 100.0 + policy.EXCHANGE_REPEATED_WITHIN - 1) == after
        assert policy.exchanged_for(after, old) == new
        assert policy.exchange(after, old, 100.0 + policy.EXCHANGE_REPEATED_WITHIN) == Ignore(Reason.TOKEN_SPENT)
    assert policy.exchange(after, "wrong", 100.0) == Ignore(Reason.TOKEN_INVALID)
    assert policy.exchange(None, "right", 100.0) == Ignore(Reason.NO_BOOT)
