"""Boot loaders, boot scripts, kernels and ramdisks, BOINC files and reports over HTTP, all below /boot/<mac>/.

Every request is first shown to `admit`. A client that is not admitted gets not a single byte: its connection is reset.
services/http/routing.py decides what an admitted one gets. Here files are opened, passwords are checked, and events are
emitted.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from services.decision import Ignore
from services.draining import drained
from services.ethernet import MacAddress
from services.events import Event, Ignored, Reported, TransferFailed, TransferProgressed, TransferServed
from services.http import answers, basic_auth
from services.http.connections import Connection, Connections
from services.http.conversation import OnInput, Serve, ignore_input
from services.http.file_sender import FileSender
from services.http.heartbeats import Heartbeat, HeartbeatReply
from services.http.messages import Request, Response
from services.http.paths import BootUrl, EntryScript, ImageUrl, LiveArchiveUrl, LoaderFile, parse
from services.http.routing import Sources, longest_body, route
from services.http.transfer import FileTransfer
from services.linux.open_beneath import OpenFile, open_beneath
from services.linux.sockets import listen_tcp

_SERVICE = "http"
_BACKLOG = 1024

log = logging.getLogger(__name__)


class HttpServer:
    """Serves one address. Port 0 takes a free port; `port` tells which, after `start`.

    `admit(claimed, peer)` returns the MAC address of an admitted client, or why it is not admitted.
    `entry_script(mac, peer, key, password)` writes the script of a menu entry; it may take its time, all others must
    return at once. `live_archive(mac, token, digest)` opens the archive with this SHA-256; all others: see Sources.
    """

    def __init__(
        self,
        address: IPv4Address,
        port: int,
        *,
        images: Path,
        loaders: Path,
        admit: Callable[[MacAddress | None, IPv4Address], MacAddress | Ignore],
        script: Callable[[MacAddress, IPv4Address], str | Ignore],
        autoexec: Callable[[MacAddress], str | Ignore],
        entry_script: Callable[[MacAddress, IPv4Address, str, str | None], Awaitable[str | Ignore]],
        secrets: Callable[[MacAddress, str, IPv4Address], bytes | Ignore],
        live_list: Callable[[MacAddress, str], str | Ignore],
        live_archive: Callable[[MacAddress, str, str], OpenFile | Ignore],
        report: Callable[[MacAddress, str, Reported, IPv4Address], Reported | Ignore],
        exchange: Callable[[MacAddress, str, IPv4Address], str | Ignore],
        heartbeat: Callable[[MacAddress, str, Heartbeat, IPv4Address], HeartbeatReply | Ignore],
        emit: Callable[[Event], None],
    ) -> None:
        self.address = address
        self.port = port
        self._images = images
        self._loaders = loaders
        self._admit = admit
        self._sources = Sources(script, autoexec, secrets, live_list, report, exchange, heartbeat)
        self._live_archive = live_archive
        self._entry_script = entry_script
        self._emit = emit
        self._connections: Connections | None = None
        self._file_sender: FileSender | None = None
        self._transfers: dict[Connection, FileTransfer] = {}
        self._entries: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Bind the port and serve; raises BindError."""
        tcp = listen_tcp(self.address, self.port, _BACKLOG)
        self.port = tcp.getsockname()[1]
        self._file_sender = FileSender()
        self._connections = Connections(tcp, self._begin)
        self._connections.start()

    async def close(self, seconds: float) -> None:
        """Accept no more connections; let the requests under way finish while they make progress, for at most
        `seconds`; then cut them off."""
        connections, file_sender = self._connections, self._file_sender
        if connections is None or file_sender is None:
            return
        connections.stop_listening()
        if not await drained(self._progress, seconds):
            for entry in self._entries:
                entry.cancel()
            for transfer in list(self._transfers.values()):
                file_sender.cancel(transfer)
                transfer.ended(ConnectionAbortedError("the server stopped"))
        connections.close()
        file_sender.close()
        self._connections = self._file_sender = None

    def _progress(self) -> list[int]:
        underway = self._connections.underway if self._connections is not None else 0
        return [underway, *(transfer.sent for transfer in self._transfers.values())] if underway else []

    def _begin(self, connection: Connection, request: Request) -> Serve | Ignore:
        url = parse(request.path)
        decision = self._admit(url.claimed, connection.address)
        if isinstance(decision, Ignore):
            client = str(url.claimed or connection.address)
            self._tell(Ignored(_SERVICE, client, decision.reason, str(url.target), str(connection.address)))
            return decision
        request.longest_body = longest_body(url.target)
        return partial(self._serve, connection, request, url, decision)

    def _serve(self, connection: Connection, request: Request, url: BootUrl, mac: MacAddress) -> Response | OnInput:
        try:
            match route(request, url.target, mac, connection.address, self._sources):
                case EntryScript(key):
                    return self._serve_entry(connection, request, url, mac, key)
                case LoaderFile(name):
                    return self._serve_file(connection, request, url, mac, open_beneath(self._loaders, (name,)))
                case ImageUrl(release, name):
                    parts = (release, *name.split("/"))
                    return self._serve_file(connection, request, url, mac, open_beneath(self._images, parts))
                case LiveArchiveUrl(token, digest):
                    return self._serve_file(connection, request, url, mac, self._live_archive(mac, token, digest))
                case decision:
                    return self._answer(connection, mac, url, decision)
        except Exception:
            return self._fault(mac)

    def _answer(self, peer: Connection, mac: MacAddress, url: BootUrl, decision: Response | Ignore) -> Response:
        if isinstance(decision, Ignore):
            self._tell(Ignored(_SERVICE, str(mac), decision.reason, str(url.target), str(peer.address)))
            return answers.refusal(decision.reason)
        return decision

    def _fault(self, mac: MacAddress) -> Response:
        log.exception("http: internal error; only this request of %s fails", mac)
        return answers.text(500, "internal error\n")

    def _serve_entry(
        self, connection: Connection, request: Request, url: BootUrl, mac: MacAddress, key: str
    ) -> OnInput:
        password = basic_auth.password(request.fields.get("authorization", ""))

        async def serve() -> None:
            try:
                script = await self._entry_script(mac, connection.address, key, password)
                answer = self._answer(connection, mac, url, answers.script(script))
            except Exception:
                answer = self._fault(mac)
            if self._connections is not None:
                self._connections.answer(connection, answer)

        entry = asyncio.get_running_loop().create_task(serve())
        self._entries.add(entry)
        entry.add_done_callback(self._entries.discard)
        return ignore_input

    def _serve_file(
        self, connection: Connection, request: Request, url: BootUrl, mac: MacAddress, file: OpenFile | Ignore
    ) -> Response | OnInput:
        if isinstance(file, Ignore):
            return self._answer(connection, mac, url, file)
        answer, body = answers.file(request.fields, file.size)
        if request.method == "GET" and body and self._connections is not None and self._file_sender is not None:
            return self._send_file(
                self._connections, self._file_sender, connection, answer, file, body, mac, str(url.target)
            )
        file.close()
        if request.method == "GET" and answer.status == 200:
            self._tell(TransferProgressed(mac, _SERVICE, str(url.target), 0, 0))
            self._tell(TransferServed(mac, _SERVICE, str(url.target), 0, 0.0))
        return answer

    def _send_file(
        self,
        connections: Connections,
        file_sender: FileSender,
        connection: Connection,
        answer: Response,
        file: OpenFile,
        body: range,
        mac: MacAddress,
        path: str,
    ) -> OnInput:
        started = time.monotonic()

        def progressed(sent: int) -> None:
            self._tell(TransferProgressed(mac, _SERVICE, path, sent, len(body)))

        # Names no `transfer`, which holds this function: only a search for reference cycles would find the two.
        def ended(error: OSError | None) -> None:
            transfer = self._transfers.pop(connection)
            file.close()
            if error is None:
                self._tell(TransferServed(mac, _SERVICE, path, len(body), time.monotonic() - started))
                connection.written += len(head) + len(body)
                connections.finished(connection)
            else:
                self._tell(TransferFailed(mac, _SERVICE, path, transfer.sent, _why(error)))
                connections.abort(connection)

        head = connection.encoded(answer, time.time())
        written = connection.written
        transfer = FileTransfer(connection.socket, head, file, body, written, progressed=progressed, ended=ended)
        progressed(0)
        self._transfers[connection] = transfer
        file_sender.send(transfer)
        return partial(file_sender.check_acknowledged, transfer)

    def _tell(self, event: Event) -> None:
        try:
            self._emit(event)
        except Exception:
            log.exception("http: an event could not be recorded; the request goes on")


def _why(error: OSError) -> str:
    if error.errno is None:  # not one of the kernel's
        return str(error)
    return "the client closed the connection" if isinstance(error, ConnectionError) else str(error.strerror)
