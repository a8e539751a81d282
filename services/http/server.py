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
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address
from pathlib import Path

from services.decision import Ignore, Reason
from services.draining import drained
from services.ethernet import MacAddress
from services.events import Event, Ignored, Reported, TransferFailed, TransferProgressed, TransferServed
from services.files import OpenFile, open_beneath
from services.http import answers, authorization, delivery, reports
from services.http.connections import AT_ONCE, Connection, Connections
from services.http.library import web
from services.http.meter import Meter
from services.http.outlet import Altered, Outlet, cork
from services.http.paths import Archive, BootUrl, EntryScript, ImageFile, LoaderFile, ReportBox, Script, parse
from services.sockets import listen_tcp

BODY_WITHIN = 10.0  # seconds

_SERVICE = "http"
_BACKLOG = 1024
_SECRET = {"Cache-Control": "no-store"}  # the script holds the token, the archive what the token opens
_CHALLENGE = {"WWW-Authenticate": authorization.CHALLENGE}
_LAST_WORDS = 1.0  # seconds for an answer that is decided to leave before its connection is closed

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
        self._outlet: Outlet | None = None
        self._listener: asyncio.Server | None = None
        self._underway: set[asyncio.Task[object]] = set()
        self._meters: set[Meter] = set()

    async def start(self) -> None:
        """Bind the port and serve; raises BindError."""
        tcp = listen_tcp(self.address, self.port, _BACKLOG)
        self.port = tcp.getsockname()[1]
        self._connections = Connections(self._answer)
        self._outlet = Outlet()
        # To asyncio the backlog is also how many connections it takes at once, before their limit can tell.
        self._listener = await asyncio.get_running_loop().create_server(self._connections, sock=tcp, backlog=AT_ONCE)
        tcp.listen(_BACKLOG)

    async def close(self, seconds: float) -> None:
        """Take no more connections, let the requests under way finish as long as they move, for at most `seconds`, then
        cut them off."""
        if self._listener is None or self._connections is None:
            return
        self._listener.close()
        self._connections.pre_shutdown()
        if not await drained(self._progress, seconds):
            for task in self._underway:
                task.cancel()
        await self._connections.shutdown(_LAST_WORDS)
        await self._listener.wait_closed()
        if self._outlet is not None:
            self._outlet.close()
        self._listener = self._connections = self._outlet = None

    def _progress(self) -> list[int]:
        return [len(self._underway), *(meter.sent for meter in self._meters)] if self._underway else []

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._underway.add(task)
        try:
            return await self._decide(request)
        finally:
            self._underway.discard(task)

    async def _decide(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.remote is None:  # it had to make room before its turn came
            return answers.abort(request)
        url = parse(request.raw_path)
        try:
            peer = IPv4Address(request.remote)
            decision = self._admit(url.claimed, peer)
        except Exception:
            log.exception("http: whether %s is admitted could not be told; it gets nothing", request.remote)
            return answers.abort(request)
        if isinstance(decision, Ignore):
            self._tell(Ignored(_SERVICE, str(url.claimed or peer), decision.reason, str(url.target)))
            return answers.abort(request)
        try:
            return await self._serve(request, url, decision, peer)
        except ConnectionError:
            return answers.abort(request)
        except Exception:
            log.exception("http: a fault of the program; only this request of %s ends", decision)
            # Behind headers that went out already, an error text would pass for content.
            return answers.abort(request) if request.writer.output_size else answers.text(500, "internal error\n")

    async def _serve(
        self, request: web.BaseRequest, url: BootUrl, mac: MacAddress, peer: IPv4Address
    ) -> web.StreamResponse:
        match url.target, request.method:
            case Script(), "GET" | "HEAD":
                return self._hand_out(mac, self._script(mac, peer), url)
            case EntryScript(key), "GET":
                password = authorization.password(request.headers.get("Authorization", ""))
                return self._hand_out(mac, await self._chosen(mac, peer, key, password), url)
            case LoaderFile(name), "GET" | "HEAD":
                return await self._send_file(request, url, mac, self._loaders, (name,))
            case ImageFile(release, name), "GET" | "HEAD":
                return await self._send_file(request, url, mac, self._images, (release, *name.split("/")))
            case Archive(token), "GET":
                archive = self._secrets(mac, token)
                if isinstance(archive, Ignore):
                    return self._refuse(mac, archive, url)
                headers = {**answers.HEADERS, **_SECRET}
                return web.Response(body=archive, content_type="application/x-tar", headers=headers)
            case ReportBox(token), "POST":
                return await self._take_report(request, url, mac, token)
            case ((Script() | LoaderFile() | ImageFile()), _):
                return answers.text(405, "only GET and HEAD\n", Allow="GET, HEAD")
            case EntryScript() | Archive(), _:
                return answers.text(405, "only GET\n", Allow="GET")
            case ReportBox(), _:
                return answers.text(405, "only POST\n", Allow="POST")
        return self._refuse(mac, Ignore(Reason.NO_FILE), url)

    def _hand_out(self, mac: MacAddress, script: str | Ignore, url: BootUrl) -> web.StreamResponse:
        if script == Ignore(Reason.PASSWORD_NEEDED):
            # The first half of every conversation about a password: nothing that anybody has to read.
            return answers.text(401, f"{Reason.PASSWORD_NEEDED}\n", **_CHALLENGE)
        if isinstance(script, Ignore):
            return self._refuse(mac, script, url)
        return answers.text(200, script, **_SECRET)

    def _refuse(self, mac: MacAddress, decision: Ignore, url: BootUrl) -> web.StreamResponse:
        self._tell(Ignored(_SERVICE, str(mac), decision.reason, str(url.target)))
        return answers.refusal(decision.reason)

    async def _take_report(
        self, request: web.BaseRequest, url: BootUrl, mac: MacAddress, token: str
    ) -> web.StreamResponse:
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_WITHIN):
                while len(body) <= reports.LONGEST_REPORT and (chunk := await request.content.readany()):
                    body += chunk
        except TimeoutError:
            return answers.abort(request)
        report = reports.decode(mac, bytes(body))
        taken = report if isinstance(report, Ignore) else self._report(mac, token, report)
        if isinstance(taken, Ignore):
            return self._refuse(mac, taken, url)
        return web.Response(status=204, headers=answers.HEADERS)

    async def _send_file(
        self, request: web.BaseRequest, url: BootUrl, mac: MacAddress, root: Path, parts: tuple[str, ...]
    ) -> web.StreamResponse:
        file = open_beneath(root, parts)
        if isinstance(file, Ignore):
            return self._refuse(mac, file, url)
        with contextlib.closing(file):
            return await self._deliver(request, file, mac, str(url.target))

    async def _deliver(
        self, request: web.BaseRequest, file: OpenFile, mac: MacAddress, path: str
    ) -> web.StreamResponse:
        response, body = delivery.respond(request, file.size)
        response.content_length = len(body)
        if request.method == "HEAD" or response.status == 416:
            await response.prepare(request)
            return response
        transport, connection = request.transport, request.protocol
        if self._outlet is None or transport is None or not isinstance(connection, Connection):
            raise ConnectionResetError("the client closed the connection")
        cork(transport.get_extra_info("socket"), True)
        await response.prepare(request)
        await delivery.drained(request)
        meter = Meter.begin(transport, len(body))
        started = time.monotonic()

        def tell(sent: int) -> None:
            self._tell(TransferProgressed(mac, _SERVICE, path, sent, meter.size))

        tell(0)
        self._meters.add(meter)
        with contextlib.closing(meter.connection):
            try:
                await delivery.send(self._outlet, file, body, meter, connection, tell)
            except (OSError, asyncio.CancelledError) as error:
                why = "the server stopped" if isinstance(error, asyncio.CancelledError) else _why(error)
                self._tell(TransferFailed(mac, _SERVICE, path, meter.sent, why))
                raise
            finally:
                self._meters.discard(meter)
        self._tell(TransferServed(mac, _SERVICE, path, meter.size, time.monotonic() - started))
        return response

    def _tell(self, event: Event) -> None:
        try:
            self._emit(event)
        except Exception:
            log.exception("http: an event could not be recorded; the request goes on")


def _why(error: OSError) -> str:
    if isinstance(error, delivery.Stalled | Altered):
        return str(error)
    return "the client closed the connection" if isinstance(error, ConnectionError) else str(error)
