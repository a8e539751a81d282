"""The stages of a boot that the live system reports: its shell scripts and the box use the same words."""

import re

import pytest

from appliance.journal.timeline import Boot, Stage, fold
from image.build import TREE
from services.ethernet import MacAddress
from services.events import Reported, ReportedStage
from services.http.reports import decode

MAC = MacAddress(1)
NEW = Boot(1, MAC, started=0.0, token="t", release="r", last_event=0.0)
CALL = re.compile(r"""(?<![\w-])(?:report (?!"\$)|reached |tell (?!"))(\S+)""")
"""How scripts and units report a stage. Their functions `tell` and `reached` repeat `report "$@"`, or take a reason in
quotes."""


def reported() -> set[str]:
    """The stages of all reports in the live system."""
    texts = [path.read_text() for path in TREE.rglob("*") if path.is_file()]
    lines = [line for text in texts for line in text.splitlines() if not line.lstrip().startswith("#")]
    return {stage for line in lines for stage in CALL.findall(line)}


def test_the_scripts_report_the_stages_that_the_box_knows() -> None:
    assert reported() == set(ReportedStage)


@pytest.mark.parametrize("word", sorted(reported()))
def test_each_report_brings_a_boot_to_its_stage(word: str) -> None:
    report = decode(MAC, f"stage={word}".encode())
    assert isinstance(report, Reported)
    assert fold(NEW, report, 1.0).stage is Stage(word.replace("-", " "))
