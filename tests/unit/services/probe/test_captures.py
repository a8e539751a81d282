"""Captures of real firmware, explained: golden timelines. To renew one, delete it, run this, and read the new one."""

from pathlib import Path

import pytest

from services.ethernet import MacAddress
from services.probe import capture
from services.probe.explanation import explain, lines
from services.probe.verdict import Outcome
from tests.captures import all_captures

CAPTURES = Path(__file__).parents[3] / "captures"
GOLDEN = Path(__file__).parent / "golden"
MAC = MacAddress.parse("52:54:00:aa:bb:01")


@pytest.mark.parametrize("name", all_captures())
def test_a_capture_is_explained(name: str) -> None:
    clients = capture.read(CAPTURES / name)
    assert list(clients) == [MAC]
    text = "\n".join(lines(explain(MAC, clients[MAC]))) + "\n"
    golden = (GOLDEN / name).with_suffix(".txt")
    if not golden.exists():
        golden.write_text(text)
        pytest.fail(f"{golden} was missing and has been written: read it")
    assert text == golden.read_text()


def test_the_outcome_of_each_capture() -> None:
    ends = {name: explain(MAC, capture.read(CAPTURES / name)[MAC]).verdict.outcome for name in all_captures()}
    assert ends == {
        "bios-ipxe-virtio.pcap": Outcome.BOOTS,
        "uefi-http-proxy.pcap": Outcome.FAILS,
        "uefi-pxe-edk2-head.pcap": Outcome.OPEN,
    }
