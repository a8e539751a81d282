"""Socket filters: what a socket need not hear, the kernel drops before it takes room (SO_ATTACH_FILTER, socket(7)).

A flood of random datagrams would else fill the buffer in which an honest one has to find a place, and take the server's
turns. The programs are classic BPF (linux/filter.h).
"""

import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

_ATTACH_FILTER = 26  # SO_ATTACH_FILTER, asm-generic/socket.h
_LOAD = {1: 0x30, 2: 0x28, 4: 0x20}  # BPF_LD + BPF_ABS, by size
_EQUAL, _RETURN = 0x15, 0x06
_WHOLE, _NOTHING = 0xFFFFFFFF, 0
_UDP_HEADER = 8  # a filter of a UDP socket sees the datagram from its header on

Step = tuple[int, int, int, int]
"""One instruction: its code, how far to jump when true and when false, and its operand."""


class Field(NamedTuple):
    """An unsigned number of `size` bytes (1, 2 or 4) at `offset` of a datagram's payload, and what it may be."""

    offset: int
    size: int
    values: tuple[int, ...]


def datagrams(fields: Sequence[Field]) -> list[Step]:
    """The program that lets pass the datagrams in which each field is there and has one of its values. PURE."""
    steps: list[Step] = []
    length = sum(1 + len(field.values) for field in fields)
    for field in fields:
        steps.append((_LOAD[field.size], 0, 0, _UDP_HEADER + field.offset))
        for left, value in zip(range(len(field.values) - 1, -1, -1), field.values, strict=True):
            steps.append((_EQUAL, left, 0 if left else length - len(steps), value))
    return [*steps, (_RETURN, 0, 0, _WHOLE), (_RETURN, 0, 0, _NOTHING)]


def attach(heard: socket.socket, steps: Sequence[Step]) -> None:
    """Let the socket hear what passes the program. Raises OSError when the kernel does not take it."""
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    heard.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("@HP", len(steps), ctypes.addressof(program)))
