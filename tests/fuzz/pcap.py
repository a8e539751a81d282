"""A capture file from a stranger, as `doctor pcap` reads and explains it.

Must hold: no exception but CaptureError; every line is printable, because it goes to a terminal.
"""

import struct
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from services.probe.capture import CaptureError, boots, configures, read
from services.probe.explanation import explain, lines
from tests.captures import FOLDER, all_captures

_HEADER = 24
_PACKETS = 8


def seeds() -> list[bytes]:
    """The captures, a few packets of each at a time."""
    found = []
    for name in all_captures():
        data = (FOLDER / name).read_bytes()
        packets, at = [], _HEADER
        while at < len(data):
            end = at + 16 + struct.unpack_from("<I", data, at + 8)[0]
            packets.append(data[at:end])
            at = end
        dhcp_first = [data[:_HEADER] + b"".join(packets[:_PACKETS])]
        later = [data[:_HEADER] + b"".join(packets[at : at + _PACKETS]) for at in range(_PACKETS, 120, _PACKETS)]
        found += dhcp_first + [each for each in later if len(each) > _HEADER]
    return found


class Target:
    """A file that is rewritten for each input."""

    def __enter__(self) -> Self:
        self._folder = TemporaryDirectory()
        self._file = Path(self._folder.name) / "boot.pcap"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._folder.cleanup()

    def __call__(self, data: bytes) -> None:
        """Play one input."""
        self._file.write_bytes(data)
        self.read()

    def read(self) -> int:
        """Read and explain the file; returns how many lines that gave."""
        try:
            clients = read(self._file)
        except CaptureError:
            return 0
        count = 0
        for mac, packets in clients.items():
            configures(packets)
            boots(packets)
            for line in lines(explain(mac, packets)):
                assert line.isprintable(), repr(line)
                count += 1
        return count
