"""What happened to a PC, in words."""

import pytest

from appliance.view.events import in_words
from services.ethernet import MacAddress
from services.events import Reported, ReportedStage

MAC = MacAddress.parse("52:54:00:00:00:01")


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (ReportedStage.REPORTED, "reported that it is up (uptime=30.5)"),
        (ReportedStage.ATTACHED, "reported attached (uptime=30.5)"),
    ],
)
def test_a_report_is_told_as_a_person_would(stage: ReportedStage, words: str) -> None:
    assert in_words(Reported(MAC, stage, {"uptime": "30.5"})) == words
