"""`doctor pcap` as a verb: what it prints, and its exit codes."""

import json
from pathlib import Path

import pytest
import typer
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.utils import wrpcap
from typer.testing import CliRunner

from appliance.cli.doctor_probe import pcap
from appliance.errors import UserError
from tests.fakes.dhcp_client import DISCOVER, message

CAPTURES = Path(__file__).parents[3] / "captures"
app = typer.Typer()
app.command()(pcap)


@pytest.mark.parametrize(
    ("name", "code", "outcome"),
    [
        ("bios-ipxe-virtio", 0, "boots"),
        ("uefi-http-proxy", 1, "does not boot"),
        ("uefi-pxe-edk2-head", 1, "not seen to the end"),
    ],
)
def test_exit_codes_and_words(name: str, code: int, outcome: str) -> None:
    file = str(CAPTURES / f"{name}.pcap")
    shown = CliRunner().invoke(app, [file])
    assert shown.exit_code == code
    assert shown.stdout == (Path(__file__).parents[2] / "services/probe/golden" / f"{name}.txt").read_text()
    report = json.loads(CliRunner().invoke(app, [file, "--json"]).stdout)
    assert report["others"] == 0
    assert report["clients"][0]["mac"] == "52:54:00:aa:bb:01"
    assert report["clients"][0]["verdict"]["outcome"] == outcome
    assert report["clients"][0]["steps"][0]["text"].startswith("DISCOVER from ")


def test_hosts_that_do_not_boot_are_counted_beside_those_that_do_and_explained_alone(tmp_path: Path) -> None:
    file = tmp_path / "a.pcap"
    windows = message(DISCOVER, bytes.fromhex("020000000001"), [(60, b"MSFT 5.0")])
    frame = (
        Ether(src="02:00:00:00:00:01") / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / windows
    )
    wrpcap(str(file), [frame])
    alone = CliRunner().invoke(app, [str(file)])
    assert alone.exit_code == 1
    assert "no firmware asked to boot" in alone.stdout
    file.write_bytes((CAPTURES / "bios-ipxe-virtio.pcap").read_bytes() + file.read_bytes()[24:])
    both = CliRunner().invoke(app, [str(file)])
    assert both.exit_code == 0
    assert "1 other hosts in it did not ask to boot." in both.stdout


def test_bad_files(tmp_path: Path) -> None:
    file = tmp_path / "a.pcap"
    for content, words in ((b"nonsense", "is no pcap"), (None, "No such file"), (ARP(), "has no DHCP or TFTP")):
        if isinstance(content, bytes):
            file.write_bytes(content)
        elif content is None:
            file.unlink()
        else:
            wrpcap(str(file), [Ether() / content])
        result = CliRunner().invoke(app, [str(file)])
        assert isinstance(result.exception, UserError)
        assert words in result.exception.message
        assert (result.exception.code, bool(result.exception.hint)) == (2, True)
