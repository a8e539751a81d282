"""One client's transfer with its open file: turns the block numbers of `transfer.py` into packets. No sockets here."""

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from services.ethernet import MacAddress
from services.files import OpenFile
from services.tftp.packet import ReadRequest, encode_data
from services.tftp.transfer import SendBlocks, Transfer

Peer = tuple[str, int]


class FileShrank(Exception):  # noqa: N818 - an event of the file system, said in its words
    """The file became shorter than it was when its size was promised to the client."""


@dataclass(slots=True, eq=False)
class Session:
    """`pending` are the blocks that the socket had no room for yet; times are monotonic seconds."""

    peer: Peer
    mac: MacAddress
    path: str
    request: ReadRequest
    file: OpenFile
    transfer: Transfer
    started: float
    announced: bool = False
    reported_at: float = 0.0
    reported_bytes: int = 0
    pending: deque[bytes] = field(default_factory=deque)

    def packets(self, blocks: SendBlocks) -> Iterator[bytes]:
        """Yield the DATA packets of a window, read from the file in one go; raises FileShrank and OSError.

        The unit is the window, not the packet, so that a shared cache of laid-out packets, or a send call that takes
        a whole window, can replace this without anybody noticing.
        """
        size = self.transfer.terms.block
        offset = (blocks.first - 1) * size
        wanted = min(blocks.last * size, self.transfer.size) - offset
        content = memoryview(os.pread(self.file.fd, wanted, offset)) if wanted else memoryview(b"")
        if len(content) < wanted:
            raise FileShrank(f"{self.path} shrank while it was being sent")
        return (
            encode_data(block, content[(block - blocks.first) * size : (block - blocks.first + 1) * size])
            for block in range(blocks.first, blocks.last + 1)
        )
