"""A TFTP server whose sockets the test plays."""

from pathlib import Path

import pytest

from tests.transcripts.tftp_wire import TftpWire


@pytest.fixture
def wire(tmp_path: Path) -> TftpWire:
    return TftpWire(tmp_path)
