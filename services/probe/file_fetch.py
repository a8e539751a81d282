"""The files of a network boot, fetched by TFTP and HTTP as firmware does, from this host's own address.

Where this host's MAC address is not the PC's, a server that checks its neighbours refuses, and rightly so. Blocks.
"""

import hashlib
import http.client
import socket
import struct
from collections.abc import Callable
from contextlib import closing
from ipaddress import IPv4Address

from services.decision import Ignore
from services.ethernet import MacAddress
from services.linux.interfaces import Interface
from services.probe import codec, tftp_download
from services.probe.client_sockets import open_udp_socket
from services.probe.message import (
    Broken,
    Fetched,
    HttpRequest,
    HttpResponse,
    Note,
    Refused,
    Reset,
    TftpError,
    TftpOptions,
    TftpRequest,
    Unreachable,
    url_parts,
)
from services.probe.record import ProbeRecord

ANSWER_SECONDS = 2.0
TRIES = 2
HTTP_SECONDS = 20.0
LARGEST_SCRIPT = 1 << 20
LARGEST_FILE = 4 << 30
BLOCK = 1468

_TFTP = 69
_IP_RECVERR = 11  # linux/in.h
_CHUNK = 1 << 16
_USER_AGENT = {"User-Agent": "iPXE/1.0.0 (netboot-appliance doctor probe)"}

Expected = Callable[[str], str]
"""The sha256 in hex that a boot file or URL should have, or "" when nobody knows here."""


class FileFetch:
    """Fetches files for the PC `mac` by one interface, and adds to `record` how that went."""

    def __init__(self, interface: Interface, mac: MacAddress, record: ProbeRecord, expected: Expected) -> None:
        self._interface = interface
        self._address = interface.address.ip
        self._mac = mac
        self._record = record
        self._expected = expected
        self._is_the_pc = interface.mac == mac

    def by_tftp(self, server: IPv4Address, name: str) -> bool:
        """Load a file after asking for its size, as most firmware does.

        Returns whether to go on: also if the server rightly refused.
        """
        if not self._ask_size(server, name):
            return self._refused(server, name)
        self._record.said(TftpRequest(name, {"blksize": str(BLOCK)}), server, _TFTP)
        digest = hashlib.sha256()
        try:
            size = tftp_download.download(server, self._address, name, BLOCK, digest.update)
        except tftp_download.LoadError as error:
            self._record.heard(Broken(name, str(error)), server, _TFTP)
            return False
        expected = self._expected(name)
        self._record.heard(Fetched(name, size, digest.hexdigest(), expected), server, _TFTP)
        return not expected or expected == digest.hexdigest()

    def by_http(self, url: str, method: str = "GET") -> bytes | None:
        """Fetch a URL: the start of its content (enough for a script), or None when that failed."""
        parts = url_parts(url)
        try:
            server, port = IPv4Address(parts.hostname or ""), parts.port or 80
        except ValueError:
            words = f"{url}: a host name, or not http; firmware would need DNS for it, and this probe uses none"
            self._record.said(Note(words), self._address, 0)
            return None
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection = http.client.HTTPConnection(
            str(server), port, timeout=HTTP_SECONDS, source_address=(str(self._address), 0)
        )
        with closing(connection):
            self._record.said(HttpRequest(method, target), server, port)
            try:
                connection.request(method, target, headers=_USER_AGENT)
                response = connection.getresponse()
            except (ConnectionResetError, http.client.RemoteDisconnected):
                why = self._refusal(f"{server} reset the connection without an answer")
                self._record.heard(Reset() if self._is_the_pc else Refused(target, why), server, port)
                return None
            except ConnectionRefusedError:
                self._record.heard(Broken(target, f"nobody listens on TCP port {port} of {server}"), server, port)
                return None
            except (OSError, ValueError, http.client.HTTPException) as error:
                self._record.heard(Broken(target, f"{server}: {error or type(error).__name__}"), server, port)
                return None
            self._record.heard(HttpResponse(response.status, response.length), server, port)
            if response.status != 200:
                return None
            return b"" if method == "HEAD" else self._read_body(response, server, port, target)

    def _ask_size(self, server: IPv4Address, name: str) -> bool:
        """Ask for the size of a file, and break off; whether the server has the file."""
        with closing(open_udp_socket(self._address, 0, ANSWER_SECONDS)) as udp:
            udp.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            port = int(udp.getsockname()[1])
            options = {"tsize": 0, "blksize": BLOCK}
            for _ in range(TRIES):
                wanted = {key: str(value) for key, value in options.items()}
                self._record.said(TftpRequest(name, wanted), server, _TFTP, port)
                try:
                    udp.sendto(codec.size_request(name, options), (str(server), _TFTP))
                    data, source = udp.recvfrom(4096)
                except TimeoutError:
                    continue
                except ConnectionRefusedError:
                    self._record.heard(Unreachable(), server, _TFTP, port)
                    return False
                content = codec.decode_tftp(data)
                if isinstance(content, Ignore) or source[0] != str(server):
                    continue
                self._record.heard(content, server, int(source[1]), port)
                if not isinstance(content, TftpError):
                    error = TftpError(8, "only the size was wanted")
                    udp.sendto(struct.pack("!HH", 5, error.code) + error.message.encode() + b"\0", source)
                    if isinstance(content, TftpOptions):
                        self._record.said(error, server, int(source[1]), port)
                return not isinstance(content, TftpError)
        return False

    def _read_body(
        self, response: http.client.HTTPResponse, server: IPv4Address, port: int, target: str
    ) -> bytes | None:
        digest, size, start = hashlib.sha256(), 0, b""
        try:
            while chunk := response.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                start += chunk[: LARGEST_SCRIPT - len(start)] if len(start) < LARGEST_SCRIPT else b""
                if size > LARGEST_FILE:
                    raise OSError(f"more than {LARGEST_FILE:,} bytes")
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._record.heard(Broken(target, f"broke off after {size:,} bytes: {error!r}"), server, port)
            return None
        expected = self._expected(target)
        self._record.heard(Fetched(target, size, digest.hexdigest(), expected), server, port)
        return start

    def _refused(self, server: IPv4Address, name: str) -> bool:
        """Nothing came by TFTP: right, when this host is not the PC. Whether to go on as if the file had come."""
        last = self._record.packets[-1].content
        if self._is_the_pc or isinstance(last, TftpError | Unreachable):
            return False
        why = self._refusal("no answer; a firewall that drops UDP 69 looks the same")
        self._record.heard(Refused(name, why), server, _TFTP)
        return True

    def _refusal(self, how: str) -> str:
        return f"refused, as it should be: this host's MAC is {self._interface.mac}, not {self._mac} ({how})"
