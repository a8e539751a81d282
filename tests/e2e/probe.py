"""`python -m tests.e2e.probe tftp|http ADDRESS PATH`: ask the box for a file and print how many bytes came back.

Run inside a namespace as a hostile client: every byte counts, including those of an error message.
"""

import socket
import struct
import sys

TIMEOUT = 4.0


def tftp(address: str, path: str) -> int:
    """Bytes of the first answer to a read request, of whatever kind."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(TIMEOUT)
        client.sendto(struct.pack("!H", 1) + path.encode() + b"\0octet\0", (address, 69))
        try:
            return len(client.recv(65536))
        except TimeoutError:
            return 0


def http(address: str, path: str) -> int:
    """Bytes that came before the connection ended, however it ended."""
    received = 0
    with socket.create_connection((address, 80), TIMEOUT) as client:
        try:
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
            while chunk := client.recv(65536):
                received += len(chunk)
        except (TimeoutError, ConnectionError):
            pass
    return received


if __name__ == "__main__":
    _, protocol, server, wanted = sys.argv
    print({"tftp": tftp, "http": http}[protocol](server, wanted))
