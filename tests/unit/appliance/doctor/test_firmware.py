"""What the doctor says about firmware that does not accept the standard offer."""

import pytest

from appliance.doctor import firmware
from appliance.doctor.finding import Severity
from appliance.firmware.knowledge import FirmwareKnowledge, Why
from services.dhcp.plan import Profile
from services.ethernet import MacAddress

MAC = MacAddress.parse("52:54:00:00:00:01")
PXE, HTTP = "52:54:00 PXEClient:Arch:00007:UNDI:003010 7", "52:54:00 HTTPClient:Arch:00016:UNDI:003010 16"


@pytest.mark.parametrize(
    ("known", "severity", "what", "do"),
    [
        (
            FirmwareKnowledge(PXE, Profile.DELAYED, True, Why.IGNORED),
            Severity.NOTE,
            f"PCs that boot with an offer other than the standard one (delayed): {MAC}",
            "clients forget MAC",
        ),
        (FirmwareKnowledge(PXE, Profile.SHIM, True, Why.REFUSED), Severity.NOTE, "(shim)", "clients forget MAC"),
        (
            FirmwareKnowledge(PXE, Profile.SHIM, False, Why.REFUSED),
            Severity.NOTE,
            "are being tried with another offer (shim)",
            "",
        ),
        (
            FirmwareKnowledge(PXE, Profile.PLAIN, False, Why.IGNORED),
            Severity.NOTE,
            "are being tried with another offer",
            "",
        ),
        (FirmwareKnowledge(PXE, why=Why.REFUSED), Severity.WARNING, "not started it", "signed loader"),
        (FirmwareKnowledge(PXE, worked=True, why=Why.REFUSED), Severity.WARNING, "not started it", "signed loader"),
        (FirmwareKnowledge(HTTP, why=Why.REFUSED), Severity.WARNING, "UEFI HTTP boot", "choose PXE boot"),
        (FirmwareKnowledge(PXE, why=Why.NEITHER), Severity.WARNING, "and with the signed one", "siaddr"),
        (
            FirmwareKnowledge(PXE, Profile.DELAYED, False, Why.IGNORED_ALL),
            Severity.WARNING,
            "every kind",
            "doctor pcap",
        ),
    ],
)
def test_each_case_has_its_words_and_what_to_do(
    known: FirmwareKnowledge, severity: Severity, what: str, do: str
) -> None:
    (found,) = firmware.judge([(MAC, known)])
    assert (found.check, found.severity) == ("firmware", severity)
    assert what in found.what
    assert do in found.what_to_do


def test_a_room_of_one_firmware_is_one_finding() -> None:
    (found,) = firmware.judge(
        (MacAddress(n), FirmwareKnowledge(PXE, Profile.DELAYED, True, Why.IGNORED)) for n in range(30)
    )
    assert found.what.endswith("00:00:00:00:00:09 and 20 more (status)")


def test_nothing_known_is_fine() -> None:
    assert [found.severity for found in firmware.judge([])] == [Severity.OK]
