"""`python -m tests.fakes.rogue_dhcp_server ADDRESS LEASES OPTIONS`: a DHCP server that sends what it is told to.

ADDRESS is its own, and LEASES the one that it gives to everybody; "" refuses each request after an offer of the address
that the client asked for. OPTIONS is JSON: the options' numbers, and their values in hexadecimal digits.
"""

import json
import socket
import sys

DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6


def options_of(datagram: bytes) -> dict[int, bytes]:
    """The options of a client's message."""
    found, at = {}, 240
    while at < len(datagram) and datagram[at] != 255:
        if datagram[at] == 0:
            at += 1
            continue
        found[datagram[at]] = datagram[at + 2 : at + 2 + datagram[at + 1]]
        at += 2 + datagram[at + 1]
    return found


def reply(asked: bytes, kind: int, server: bytes, address: bytes, more: dict[int, bytes]) -> bytes:
    """An answer; its lease ends after ten minutes."""
    options = {53: bytes([kind]), 54: server}
    if kind != NAK:
        options |= {51: (600).to_bytes(4, "big"), 1: bytes((255, 255, 255, 0)), **more}
    head = b"\2\1\6\0" + asked[4:12] + bytes(4) + (bytes(4) if kind == NAK else address) + bytes(8) + asked[28:236]
    return head + asked[236:240] + b"".join(bytes([n, len(v)]) + v for n, v in options.items()) + b"\xff"


def main() -> None:
    """Answer until killed."""
    own, gives, text = sys.argv[1:]
    more = {int(number): bytes.fromhex(value) for number, value in json.loads(text).items()}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        port.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lan0")
        port.bind(("", 67))
        print("serving", flush=True)
        while True:
            asked = port.recv(4096)
            wanted = options_of(asked)
            kind = wanted[53][0]
            if kind not in (DISCOVER, REQUEST):
                continue
            answer = OFFER if kind == DISCOVER else ACK if gives else NAK
            address = socket.inet_aton(gives) if gives else wanted[50]
            port.sendto(reply(asked, answer, socket.inet_aton(own), address, more), ("255.255.255.255", 68))
            print("sent", answer, flush=True)


if __name__ == "__main__":
    main()
