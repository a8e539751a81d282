"""Fuzz one entrance of the box with Atheris: `make fuzz TARGET=dhcp SECONDS=3600`. Outside CI; needs .room/fuzz-venv.

The corpus grows in .room/fuzz/TARGET/corpus from run to run. An input that breaks something is kept beside it as
crash-…; replay it with `make fuzz TARGET=dhcp INPUT=.room/fuzz/dhcp/crash-…`.
"""

import argparse
import hashlib
import importlib
import sys
from pathlib import Path

import atheris

TARGETS = ("dhcp", "tftp", "http", "report", "pcap", "netlink")
INSTRUMENTED = [
    "appliance",
    "services",
    "tests",
    "scapy.layers.dhcp",
    "scapy.fields",
    "scapy.utils",
    "tftpy",
    "urllib.parse",
]
LONGEST_INPUT = 4096
_DIRECTORY = Path(".room") / "fuzz"
_INPUT_SECONDS = 30


def main() -> None:
    """Read the command line and fuzz; this ends the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--input", help="play only this file")
    asked = parser.parse_args()
    with atheris.instrument_imports(include=INSTRUMENTED):
        module = importlib.import_module(f"tests.fuzz.{asked.target}")
    home = _DIRECTORY / asked.target
    corpus = home / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in module.seeds():
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    flags = [
        f"-max_len={LONGEST_INPUT}",
        f"-timeout={_INPUT_SECONDS}",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
    ]
    flags += (
        [asked.input] if asked.input else [f"-max_total_time={asked.seconds}", f"-artifact_prefix={home}/", str(corpus)]
    )
    # libFuzzer leaves by _exit: what a target opens (loopback sockets, a temporary directory) ends with the process.
    atheris.Setup([sys.argv[0], *flags], module.Target().__enter__())
    atheris.Fuzz()


if __name__ == "__main__":
    main()
