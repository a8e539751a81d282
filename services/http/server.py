"""Boot loaders, boot scripts, kernels and ramdisks, BOINC files and reports over HTTP, all below /boot/<mac>/.

    GET, HEAD  /boot/<mac>/loader/<file>              the boot loader, for UEFI HTTP boot
    GET, HEAD  /boot/<mac>/boot.ipxe                  the boot script
    GET        /boot/<mac>/menu/<entry>.ipxe          that of one menu entry, of a locked one for its password
    GET, HEAD  /boot/<mac>/image/<release>/<file>     vmlinuz, initrd.img or live/filesystem.squashfs, with ranges
    GET        /boot/<mac>/<token>/boinc.tar          the BOINC files of this boot
    POST       /boot/<mac>/<token>/report             a stage that the live system reached

Every request is first shown to `admit`; a peer that is not admitted gets not one byte, its connection is reset. Decides
nothing itself: scripts, secrets and reports are callables of whoever composes the box.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from services.decision import Ignore, Reason
from services.draining import drained
from services.ethernet import MacAddress
from services.events import Event, Ignored, Reported, TransferFailed, TransferProgressed, TransferServed
from services.http import answers, basic_auth, reports
from services.http.connections import Connection, Connections
from services.http.file_sender import FileSender
from services.http.messages import Request, Response
from services.http.paths import Archive, BootUrl, EntryScript, ImageUrl, LoaderFile, ReportUrl, ScriptUrl, parse
from services.http.transfer import FileTransfer
from services.linux.open_beneath import OpenFile, open_beneath
from services.linux.sockets import listen_tcp

_SERVICE = "http"
_BACKLOG = 1024
_SECRET = {"Cache-Control": "no-store"}  # the script holds the token, the archive what the token opens
_TAR = {"Content-Type": "application/x-tar", **_SECRET}
_CHALLENGE = {"WWW-Authenticate": basic_auth.CHALLENGE}

log = logging.getLogger(__name__)


class HttpServer:
    """Serves one address. All callables but `chosen` must return at once; `port` 0 takes a free port, told by `port`
    after `start`.

    `script(mac, peer)` mints the boot script, `chosen(mac, peer, key, password)` that of a menu entry;
    `secrets(mac, token)` packs the tar of BOINC files; `report(mac, token, report)` returns the report it took, or the
    reason why not.
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
        chosen: Callable[[MacAddress, IPv4Address, str, str | None], Awaitable[str | Ignore]],
        secrets: Callable[[MacAddress, str], bytes | Ignore],
        report: Callable[[MacAddress, str, Reported], Reported | Ignore],
        emit: Callable[[Event], None],
    ) -> None:
        self.address = address
        self.port = port
        self._images = images
        self._loaders = loaders
        self._admit = admit
        self._script = script
        self._chosen = chosen
        self._secrets = secrets
        self._report = report
        self._emit = emit
        self._connections: Connections | None = None
        self._outlet: FileSender | None = None
        self._transfers: dict[FileTransfer, Callable[[OSError | None], None]] = {}
        self._choices: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Bind the port and serve; raises BindError."""
        tcp = listen_tcp(self.address, self.port, _BACKLOG)
        self.port = tcp.getsockname()[1]
        self._outlet = FileSender()
        self._connections = Connections(tcp, self._begin)
        self._connections.start()

    async def close(self, seconds: float) -> None:
        """Take no more connections, let the requests under way finish as long as they move, for at most `seconds`, then
        cut them off."""
        connections, outlet = self._connections, self._outlet
        if connections is None or outlet is None:
            return
        connections.stop_listening()
        if not await drained(self._progress, seconds):
            for choice in self._choices:
                choice.cancel()
            for transfer, ended in list(self._transfers.items()):
                outlet.cancel(transfer)
                ended(ConnectionAbortedError("the server stopped"))
        connections.close()
        outlet.close()
        self._connections = self._outlet = None

    def _progress(self) -> list[int]:
        underway = self._connections.underway if self._connections is not None else 0
        return [underway, *(transfer.sent for transfer in self._transfers)] if underway else []

    def _begin(self, connection: Connection, request: Request) -> None:
        url = parse(request.path)
        try:
            decision = self._admit(url.claimed, connection.address)
        except Exception:
            log.exception("http: whether %s is admitted could not be told; it gets nothing", connection.address)
            return
        if isinstance(decision, Ignore):
            client = str(url.claimed or connection.address)
            self._tell(Ignored(_SERVICE, client, decision.reason, str(url.target)))
            return
        request.serve = partial(self._serve, connection, request, url, decision)

    def _serve(self, connection: Connection, request: Request, url: BootUrl, mac: MacAddress) -> None:
        try:
            answer = self._decide(connection, request, url, mac)
        except Exception:
            answer = self._fault(mac)
        if answer is not None:
            self._answer(connection, answer)

    def _fault(self, mac: MacAddress) -> Response:
        log.exception("http: a fault of the program; only this request of %s ends", mac)
        return answers.text(500, "internal error\n")

    def _answer(self, connection: Connection, answer: Response) -> None:
        if self._connections is not None:
            self._connections.answer(connection, answer)

    def _decide(self, connection: Connection, request: Request, url: BootUrl, mac: MacAddress) -> Response | None:
        """The answer; None when it comes later, or goes another way."""
        match url.target, request.method:
            case ScriptUrl(), "GET" | "HEAD":
                return self._hand_out(mac, self._script(mac, connection.address), url)
            case EntryScript(key), "GET":
                self._choose(connection, request, url, mac, key)
                return None
            case LoaderFile(name), "GET" | "HEAD":
                return self._send_file(connection, request, url, mac, self._loaders, (name,))
            case ImageUrl(release, name), "GET" | "HEAD":
                return self._send_file(connection, request, url, mac, self._images, (release, *name.split("/")))
            case Archive(token), "GET":
                archive = self._secrets(mac, token)
                return self._refuse(mac, archive, url) if isinstance(archive, Ignore) else Response(200, _TAR, archive)
            case ReportUrl(token), "POST":
                report = reports.decode(mac, bytes(request.body))
                taken = report if isinstance(report, Ignore) else self._report(mac, token, report)
                return self._refuse(mac, taken, url) if isinstance(taken, Ignore) else Response(204, {})
            case ((ScriptUrl() | LoaderFile() | ImageUrl()), _):
                return answers.text(405, "only GET and HEAD\n", Allow="GET, HEAD")
            case EntryScript() | Archive(), _:
                return answers.text(405, "only GET\n", Allow="GET")
            case ReportUrl(), _:
                return answers.text(405, "only POST\n", Allow="POST")
        return self._refuse(mac, Ignore(Reason.NO_FILE), url)

    def _choose(self, connection: Connection, request: Request, url: BootUrl, mac: MacAddress, key: str) -> None:
        password = basic_auth.password(request.fields.get("authorization", ""))

        async def choose() -> None:
            try:
                answer = self._hand_out(mac, await self._chosen(mac, connection.address, key, password), url)
            except Exception:
                answer = self._fault(mac)
            self._answer(connection, answer)

        choice = asyncio.get_running_loop().create_task(choose())
        self._choices.add(choice)
        choice.add_done_callback(self._choices.discard)

    def _hand_out(self, mac: MacAddress, script: str | Ignore, url: BootUrl) -> Response:
        if script == Ignore(Reason.PASSWORD_NEEDED):
            # The first half of every conversation about a password: nothing that anybody has to read.
            return answers.text(401, f"{Reason.PASSWORD_NEEDED}\n", **_CHALLENGE)
        if isinstance(script, Ignore):
            return self._refuse(mac, script, url)
        return answers.text(200, script, **_SECRET)

    def _refuse(self, mac: MacAddress, decision: Ignore, url: BootUrl) -> Response:
        self._tell(Ignored(_SERVICE, str(mac), decision.reason, str(url.target)))
        return answers.refusal(decision.reason)

    def _send_file(
        self,
        connection: Connection,
        request: Request,
        url: BootUrl,
        mac: MacAddress,
        root: Path,
        parts: tuple[str, ...],
    ) -> Response | None:
        file = open_beneath(root, parts)
        if isinstance(file, Ignore):
            return self._refuse(mac, file, url)
        answer, body = answers.file(request.fields, file.size)
        if request.method == "GET" and body and self._connections is not None and self._outlet is not None:
            self._deliver(self._connections, self._outlet, connection, answer, file, body, mac, str(url.target))
            return None
        file.close()
        if request.method == "GET" and answer.status == 200:
            self._tell(TransferProgressed(mac, _SERVICE, str(url.target), 0, 0))
            self._tell(TransferServed(mac, _SERVICE, str(url.target), 0, 0.0))
        return answer

    def _deliver(
        self,
        connections: Connections,
        outlet: FileSender,
        connection: Connection,
        answer: Response,
        file: OpenFile,
        body: range,
        mac: MacAddress,
        path: str,
    ) -> None:
        started = time.monotonic()

        def progressed(sent: int) -> None:
            self._tell(TransferProgressed(mac, _SERVICE, path, sent, len(body)))

        def ended(error: OSError | None) -> None:
            del self._transfers[transfer]
            file.close()
            if error is None:
                self._tell(TransferServed(mac, _SERVICE, path, len(body), time.monotonic() - started))
                connection.written += len(head) + len(body)
                connections.finished(connection)
            else:
                self._tell(TransferFailed(mac, _SERVICE, path, transfer.sent, _why(error)))
                connections.abort(connection)

        head = connections.encoded(connection, answer)
        written = connection.written
        transfer = FileTransfer(connection.socket, head, file, body, written, progressed=progressed, ended=ended)
        progressed(0)
        self._transfers[transfer] = ended
        connection.heard = partial(outlet.heard, transfer)
        outlet.send(transfer)

    def _tell(self, event: Event) -> None:
        try:
            self._emit(event)
        except Exception:
            log.exception("http: an event could not be recorded; the request goes on")


def _why(error: OSError) -> str:
    if error.errno is None:  # it is none of the kernel's
        return str(error)
    return "the client closed the connection" if isinstance(error, ConnectionError) else str(error.strerror)
