"""Conversations with firmware: how it reacts to offers, and what it is offered next."""

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.firmware.knowledge import ClientFirmware, FirmwareKnowledge, Successes, Why, notable
from appliance.firmware.rules import FIRMWARES, ORDERS, DecisionContext, observe
from services.dhcp.machines import Machine
from services.dhcp.plan import Profile
from services.ethernet import MacAddress
from services.events import (
    AddressSeen,
    Discovered,
    Event,
    Offered,
    Reported,
    ScriptServed,
    TransferFailed,
    TransferProgressed,
    TransferServed,
)

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
SHORT = {
    Profile.STANDARD: "std",
    Profile.VENDOR_OPTIONS: "43",
    Profile.PLAIN: "plain",
    Profile.DELAYED: "late",
    Profile.SHIM: "shim",
}
UEFI, BIOS, UEFI_HTTP, UNKNOWN = 7, 0, 16, 41


@dataclass
class Talk:
    """A conversation with one PC. `say` plays words, one after the other:

    `D1/4` is a DISCOVER with xid 1 and secs 4, and our answer to it. With `!` at its end it gets no answer; with `=` a
    second relay sends a copy. `H…` is one of HTTP boot, `B…` one of another firmware (a BIOS) of the same PC. `+8`:
    eight seconds pass. `read`: the loader is being read, `cut`: that ends early, `whole`: it has been fetched.
    `others`: another PC boots meanwhile. The other words are events of their own: `lease`, `4011`, `ipxe`, `script`,
    `kernel`, `report`, `grub`, `cfg`.
    """

    architecture: int = UEFI
    shim: bool = False
    start: Profile = Profile.STANDARD
    loader: str = ""
    client: ClientFirmware = field(default_factory=ClientFirmware)
    now: float = 1000.0
    served: float = 0.0
    offers: list[str] = field(default_factory=list)

    def hear(self, event: Event) -> None:
        context = DecisionContext(self.shim, lambda _: self.start, self.served)
        self.client = observe(self.client, event, self.now, context)

    def say(self, words: str) -> str:
        """Play the words; returns the profiles of the offers made."""
        self.offers = []
        for word in words.split():
            self._play(word)
        return " ".join(self.offers)

    def boot(self, words: str = "") -> str:
        """A power-on an hour later that works."""
        return self.say(f"+3600 D{int(self.now)}/0 {words} lease 4011 read whole +3 ipxe script")

    def _play(self, word: str) -> None:
        if word[0] in "DHB" and word[1].isdigit():
            self._discover(word)
        elif word[0] == "+":
            self.now += float(word[1:])
        elif word == "others":
            self.served = self.now
        else:
            loader = self.loader or ("shimx64.efi" if self.client.profile is Profile.SHIM else "snponly.efi")
            events: dict[str, Event] = {
                "lease": AddressSeen(MAC, IPv4Address("10.0.0.5")),
                "4011": Offered(MAC, loader, 4011),
                "read": TransferProgressed(MAC, "tftp", loader, 0, 9),
                "cut": TransferFailed(MAC, "tftp", loader, 5, "gave up"),
                "whole": TransferServed(MAC, "tftp", loader, 9, 0.1),
                "grub": TransferServed(MAC, "tftp", "grubx64.efi", 9, 0.1),
                "cfg": TransferServed(MAC, "tftp", "grub.cfg", 9, 0.1),
                "ipxe": Discovered(MAC, 7, True, 99, 0, fingerprint="ipxe"),
                "script": ScriptServed(MAC),
                "kernel": TransferServed(MAC, "http", "image/r/vmlinuz", 9, 0.1),
                "report": Reported(MAC, "reported"),
            }
            self.hear(events[word])

    def _discover(self, word: str) -> None:
        xid, _, secs = word.strip("!=")[1:].partition("/")
        architecture = {"D": self.architecture, "H": UEFI_HTTP, "B": BIOS}[word[0]]
        event = Discovered(MAC, architecture, False, int(xid), int(secs), word[0] == "H", f"firmware {architecture}")
        copies = 2 if word.endswith("=") else 1
        for _ in range(copies):
            self.hear(event)
            self.offers.append(SHORT[self.client.profile])
            if not word.endswith("!"):
                self.hear(Offered(MAC, "x", 67))
        del self.offers[len(self.offers) - copies + 1 :]

    @property
    def known(self) -> FirmwareKnowledge:
        return self.client.firmwares[-1]


SERIES = "D1/0 +4 D1/4 +8 D1/12 +16 D1/28"
IGNORING = {
    # EDK2 sends four DISCOVERs for each attempt, and then the firmware goes on to the next boot entry.
    "UEFI, within one series": (UEFI, SERIES, "std std 43 43"),
    "UEFI, all the way round": (
        UEFI,
        f"{SERIES} +60 {SERIES.replace('D1', 'D2')} +60 D3/0",
        "std std 43 43 late late std std 43",
    ),
    "BIOS": (BIOS, f"{SERIES} +32 D1/60 +60 D1/0 +4 D1/4", "std std plain plain late late std"),
    # EDK2 of 2014 drops the offer and gives up at once: one DISCOVER a boot.
    "one DISCOVER a boot": (UEFI, "D1/0 +60 D2/0 +60 D3/0 +60 D4/0", "std std 43 43"),
    # Plenty of firmware never counts the seconds.
    "secs always 0": (UEFI, "D1/0 +4 D1/0 +8 D1/0", "std std 43"),
    "copies of relays do not count": (UEFI, "D1/0= +4 D1/4= +8 D1/12=", "std std 43"),
    "what is not answered does not count": (UEFI, "D1/0! +4 D1/4! +8 D1/12! +16 D1/28!", "std std std std"),
    # It used the boot server's address from the offer: the first time, the offer is not blamed for what follows.
    "it asked 4011": (UEFI, "D1/0 +4 D1/4 lease 4011 +60 D2/0 +4 D2/4", "std std std std"),
    "4011, and then nothing, in two boots": (UEFI, "D1/0 lease 4011 +60 D2/0 lease 4011 +60 D3/0", "std std 43"),
    "a loader that does not come through": (
        UEFI,
        "D1/0 4011 read cut +9 D2/0 4011 read cut +9 D3/0 read",
        "std std std",
    ),
    "a loader whose size is asked, and again": (UEFI, f"D1/0 +4 D1/4 read cut +60 {SERIES}", "std std std std 43 43"),
    "iPXE in the card's ROM": (UEFI, "ipxe +4 ipxe +8 ipxe +16 ipxe", ""),
    "its own iPXE, from a stick": (UEFI, "D1/0 +4 D1/4 +9 ipxe +60 D2/0 +4 D2/4", "std std std std"),
    "HTTP boot has one profile only": (UEFI, "H1/0 +4 H1/4 +8 H1/12 +16 H1/28", "std std std std"),
    "and a Raspberry Pi": (UNKNOWN, SERIES, "std std std std"),
    "two firmwares of one PC": (
        UEFI,
        f"{SERIES} +60 B9/0 +4 B9/4 +8 B9/12 +60 D2/0",
        "std std 43 43 std std plain late",
    ),
}


@pytest.mark.parametrize(("architecture", "words", "offers"), IGNORING.values(), ids=IGNORING)
def test_firmware_that_ignores_offers_gets_another_kind(architecture: int, words: str, offers: str) -> None:
    assert Talk(architecture).say(words) == offers


def test_what_works_is_offered_at_once_the_next_time() -> None:
    pc = Talk()
    assert pc.say(f"{SERIES} lease 4011 read whole +3 ipxe script") == "std std 43 43"
    assert (pc.known.profile, pc.known.worked, pc.known.why) == (Profile.VENDOR_OPTIONS, True, Why.IGNORED)
    assert pc.boot() == "43"


@pytest.mark.parametrize("sign", ["ipxe", "script", "kernel", "report", "cfg"])
def test_a_profile_has_worked_once_its_boot_loader_runs(sign: str) -> None:
    pc = Talk()
    pc.say("D1/0 lease 4011 read whole +3")
    assert not pc.known.worked
    pc.say(sign)
    assert pc.known.worked
    assert not pc.known.special


def test_a_boot_loader_that_we_did_not_serve_proves_nothing() -> None:
    pc = Talk()
    pc.say("D1/0 lease 4011 +9 ipxe script")
    assert not pc.known.worked


KEPT = {
    "one whole boot that fails": f"{SERIES} lease",
    "and then one that works": f"{SERIES} lease +60 D2/0 read whole ipxe +60 {SERIES} lease +60",
    # Somebody holds the power button, or switches off at once.
    "resets": "D1/0 +9 D2/0 +9 D3/0 +9 D4/0 +9 D5/0 +9 D6/0",
    "resets while others boot": "D1/0 +9 others D2/0 +9 others D3/0 +9 others D4/0 +9 others",
    # Every PC of the room asks all night, and none boots.
    "the site's DHCP server is dead": " +60 ".join(SERIES.replace("D1", f"D{n}") for n in range(1, 9)),
    "a power cut while the loader runs": "D1/0 lease 4011 read whole +60 D2/0 lease 4011 read",
}


@pytest.mark.parametrize("words", KEPT.values(), ids=KEPT)
@pytest.mark.parametrize("architecture", [UEFI, BIOS])
def test_a_profile_that_worked_is_kept(architecture: int, words: str) -> None:
    pc = Talk(architecture, shim=True)
    pc.boot()
    assert set(pc.say(f"+3600 {words} +60 D7/0").split()) == {"std"}
    assert pc.known.worked


@pytest.mark.parametrize("proof", ["lease", "others"], ids=["it has an address", "other PCs boot"])
def test_a_profile_that_worked_is_left_after_two_whole_boots_that_fail(proof: str) -> None:
    pc = Talk()
    pc.boot()
    offers = pc.say(f"+3600 {SERIES} {proof} +60 {SERIES.replace('D1', 'D2')} {proof} +60 D3/0 +4 D3/4 +8 D3/12")
    assert offers == "std std std std std std std std 43 43 late"


def test_secs_tell_when_a_rom_that_never_changes_its_xid_was_switched_on() -> None:
    pc = Talk(BIOS)
    pc.boot()
    offers = pc.say("+3600 D1/0 +4 D1/4 lease +20 D1/0 +4 D1/4 lease +20 D1/0")
    assert offers == "std std std std plain"


REFUSED = "4011 read whole"
SECURE_BOOT = {
    # OVMF goes to its next boot entry: the same card's HTTP boot, or the same entry again.
    "at the first boot": (f"D1/0 {REFUSED} +9 D2/0", "std shim"),
    "HTTP boot asks next": (f"D1/0 {REFUSED} +9 H2/0 +60 D3/0", "std std shim"),
    "the firmware tries again at once": (f"D1/0 {REFUSED} +1 D2/0", "std shim"),
    "the same xid always": (f"D1/0 {REFUSED} +9 D1/0", "std shim"),
    "a late copy of its DISCOVER": (f"D1/0 {REFUSED} +1 D1/0", "std std"),
    "iPXE runs": (f"D1/0 {REFUSED} +3 ipxe +60 D2/0", "std std"),
    "HTTP boot refused it": (f"H1/0 {REFUSED} +9 H2/0 {REFUSED} +9 H3/0", "std std std"),
    "BIOS has no Secure Boot": (f"B1/0 {REFUSED} +60 B2/0 {REFUSED} +60 B3/0", "std std std"),
}


@pytest.mark.parametrize(("words", "offers"), SECURE_BOOT.values(), ids=SECURE_BOOT)
def test_firmware_that_does_not_start_the_loader_gets_the_signed_one(words: str, offers: str) -> None:
    assert Talk(shim=True).say(words) == offers


def test_the_signed_loader_is_kept_once_it_has_run() -> None:
    pc = Talk(shim=True)
    assert pc.say(f"D1/0 {REFUSED} +9 D2/0 4011 read whole grub cfg kernel +3600 D3/0") == "std shim shim"
    assert (pc.known.worked, pc.known.why) == (True, Why.REFUSED)


def test_a_profile_that_worked_gives_way_to_the_signed_loader_after_two_boots() -> None:
    pc = Talk(shim=True)
    pc.boot()
    assert pc.say(f"+3600 D1/0 {REFUSED} +60 D2/0 {REFUSED} +60 D3/0") == "std std shim"


def test_if_the_signed_loader_does_not_help_the_usual_one_is_tried_again() -> None:
    pc = Talk(shim=True)
    pc.say(f"D1/0 {REFUSED} +9 D2/0 4011 read whole grub +60")
    assert pc.say("D3/0 4011 read whole grub +60 D4/0") == "shim std"
    assert pc.known.why is Why.NEITHER
    assert pc.say(f"{REFUSED} +60 D5/0") == "shim"


def test_without_a_signed_loader_the_refusal_is_only_noted() -> None:
    pc = Talk()
    assert pc.say(f"D1/0 {REFUSED} +9 D2/0 {REFUSED} +60 D3/0") == "std std std"
    assert (pc.known.profile, pc.known.why) == (Profile.STANDARD, Why.REFUSED)
    pc.shim = True
    assert pc.say("+60 D4/0") == "shim"
    pc.shim = False
    assert pc.say("+60 D5/0") == "std"
    assert pc.known.why is Why.REFUSED
    pc.say("read whole ipxe")
    assert not pc.known.special


def test_if_the_signed_loader_is_the_configured_one_there_is_no_other() -> None:
    pc = Talk(shim=True, loader="shimx64.efi")
    assert pc.say(f"D1/0 {REFUSED} grub +60 D2/0 {REFUSED} grub +60 D3/0 {REFUSED} grub +60 D4/0") == "std std std std"


def test_a_new_pc_begins_with_what_pcs_like_it_accept() -> None:
    pc = Talk(start=Profile.DELAYED)
    assert pc.say("D1/0 +4 D1/4 +8 D1/12 +16 D1/28 +32 D1/60") == "late late std std 43"
    assert pc.known.why is Why.IGNORED
    assert Talk(start=Profile.SHIM).say("D1/0") == "std"
    assert Talk(start=Profile.SHIM, shim=True).say("D1/0") == "shim"


def test_a_new_client_begins_with_what_worked_for_most_and_in_a_tie_the_latest() -> None:
    one, two = (
        FirmwareKnowledge("a", Profile.DELAYED, True, at=9.0),
        FirmwareKnowledge("a", Profile.VENDOR_OPTIONS, True, at=1.0),
    )
    successes = Successes()
    assert successes.best("a") is Profile.STANDARD
    successes.count([replace(one, worked=False)])
    assert successes.best("a") is Profile.STANDARD
    successes.count([one])
    assert successes.best("b") is Profile.STANDARD
    successes.count([two])
    assert successes.best("a") is Profile.DELAYED
    successes.count([replace(two, at=2.0)])
    assert successes.best("a") is Profile.VENDOR_OPTIONS
    successes.count([two, two, one], -1)
    assert successes.best("a") is Profile.STANDARD
    assert Successes([("a", Profile.DELAYED, 2, 1.0), ("a", Profile.PLAIN, 1, 5.0)]).best("a") is Profile.DELAYED


def test_a_firmware_that_fails_is_not_notable_if_another_one_of_the_pc_works() -> None:
    usual, shim = FirmwareKnowledge("pxe", worked=True), FirmwareKnowledge("pxe", Profile.SHIM, True, Why.REFUSED)
    refusing = FirmwareKnowledge("http", why=Why.REFUSED)
    assert notable([refusing, shim]) == [shim]
    assert notable([refusing, usual]) == []
    assert notable([refusing, replace(shim, worked=False)]) == [refusing, replace(shim, worked=False)]


ALL_WORDS = [
    *(f"{kind}{xid}/{secs}{end}" for kind in "DHB" for xid in (1, 2) for secs in (0, 4, 12) for end in ("", "!", "=")),
    *("+1", "+4", "+30", "+200", "lease", "4011", "read", "cut", "whole", "grub", "cfg", "ipxe", "script", "kernel"),
    *("report", "others"),
]
words = st.lists(st.sampled_from(ALL_WORDS), max_size=60).map(" ".join)


@given(words, st.sampled_from([UEFI, BIOS, UNKNOWN]), st.booleans())
def test_whatever_happens_the_profile_suits_the_machine(said: str, architecture: int, shim: bool) -> None:
    pc = Talk(architecture, shim)
    pc.say(said)
    assert len(pc.client.firmwares) <= FIRMWARES
    allowed = {
        "firmware 7": {*ORDERS[Machine.UEFI_X64], *([Profile.SHIM] if shim else [])},
        "firmware 0": set(ORDERS[Machine.BIOS]),
        "firmware 16": {Profile.STANDARD},
        "firmware 41": {Profile.STANDARD},
    }
    for known in pc.client.firmwares:
        assert known.profile in allowed[known.fingerprint]
        assert known.worked is False or known.why is not Why.IGNORED_ALL


# A boot that fails: DISCOVERs with one xid and rising secs, then anything firmware may do that starts no boot loader.
one_boot = st.tuples(
    st.integers(1, 5), st.lists(st.sampled_from(["lease", "4011", "read", "cut", "whole", "others", "+1"]), max_size=6)
)


@given(st.sampled_from([UEFI, BIOS]), st.booleans(), one_boot, st.booleans())
def test_a_profile_that_worked_survives_one_boot_that_fails(
    architecture: int, shim: bool, failing: tuple[int, list[str]], adapted: bool
) -> None:
    pc = Talk(architecture, shim)
    if adapted:
        pc.say("D1/0 +4 D1/4 +8 D1/12")
    pc.boot()
    before = pc.known
    discovers, then = failing
    series = " ".join(f"D5/{4 * n} +4" for n in range(discovers))
    offers = pc.say(f"+3600 {series} {' '.join(then)} +60 D6/0")
    assert set(offers.split()) == {SHORT[before.profile]}
    assert pc.known.lasting == before.lasting


@given(words)
def test_a_client_without_a_discover_of_its_firmware_is_not_watched(said: str) -> None:
    pc = Talk()
    pc.say(" ".join(word for word in said.split() if word[0] not in "DHB"))
    assert pc.client == ClientFirmware()
