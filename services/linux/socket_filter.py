"""Socket filters: the kernel drops what a socket need not receive, before it takes up buffer space
(SO_ATTACH_FILTER, socket(7)).

Otherwise a flood of random datagrams would fill the buffer that honest ones need, and take the server's time. The
programs are classic BPF (linux/filter.h).
"""

import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

_ATTACH_FILTER = 26  # SO_ATTACH_FILTER, asm-generic/socket.h
_LOAD = {1: 0x30, 2: 0x28, 4: 0x20}  # BPF_LD + BPF_ABS, by size
_EQUAL, _RETURN = 0x15, 0x06
_KEEP_ALL, _DROP = 0xFFFFFFFF, 0
_UDP_HEADER = 8  # the filter of a UDP socket sees the datagram with its header

Step = tuple[int, int, int, int]
"""One instruction: its code, how many to skip when true and when false, and its operand."""


class Field(NamedTuple):
    """An unsigned number of `size` bytes (1, 2 or 4) at `offset` of a datagram's payload, and its allowed values."""

    offset: int
    size: int
    values: tuple[int, ...]


def datagrams(fields: Sequence[Field]) -> list[Step]:
    """The program that passes the datagrams in which each field is present and has one of its values. PURE."""
    steps: list[Step] = []
    length = sum(1 + len(field.values) for field in fields)
    for field in fields:
        steps.append((_LOAD[field.size], 0, 0, _UDP_HEADER + field.offset))
        for left, value in zip(range(len(field.values) - 1, -1, -1), field.values, strict=True):
            steps.append((_EQUAL, left, 0 if left else length - len(steps), value))
    return [*steps, (_RETURN, 0, 0, _KEEP_ALL), (_RETURN, 0, 0, _DROP)]


def attach(receiver: socket.socket, steps: Sequence[Step]) -> None:
    """Let the socket receive only what passes the program. Raises OSError when the kernel rejects the program."""
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    receiver.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("@HP", len(steps), ctypes.addressof(program)))
