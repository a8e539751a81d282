"""What an admitted client's request gets: which URLs there are, and who answers each. PURE.

    GET, HEAD  /boot/<mac>/loader/<file>              a boot loader, for UEFI HTTP boot
    GET, HEAD  /boot/<mac>/loader/autoexec.ipxe       the script with which iPXE begins
    GET, HEAD  /boot/<mac>/boot.ipxe                  the boot script
    GET        /boot/<mac>/menu/<entry>.ipxe          the script of one menu entry; a locked one needs its password
    GET, HEAD  /boot/<mac>/image/<release>/<file>     vmlinuz, microcode.img, initrd.img or
                                                      live/NAME.squashfs, with ranges
    GET        /boot/<mac>/<token>/boinc.tar          the BOINC files of this boot
    GET        /boot/<mac>/<token>/live               the list of the archives for the root of this boot
    GET        /boot/<mac>/<token>/live/<sha256>.tar  one of them
    POST       /boot/<mac>/<token>/report             a stage that the live system reached
    POST       /boot/<mac>/<token>/exchange           another token in the place of this one
    POST       /boot/<mac>/<token>/heartbeat          how the live system is; the answer has the orders for it

This module opens no files and checks no passwords; services/http/server.py does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.events import Reported
from services.http import answers, heartbeats, reports
from services.http.heartbeats import LONGEST_HEARTBEAT, Heartbeat, HeartbeatReply
from services.http.messages import LONGEST_BODY, Request, Response
from services.http.paths import (
    Archive,
    AutoexecUrl,
    EntryScript,
    ExchangeUrl,
    HeartbeatUrl,
    ImageUrl,
    LiveArchiveUrl,
    LiveListUrl,
    LoaderFile,
    ReportUrl,
    ScriptUrl,
    Target,
)


@dataclass(frozen=True, slots=True)
class Sources:
    """Callables that make answers; all return at once.

    `script(mac, peer)` writes the boot script, `autoexec(mac)` the one with which iPXE begins; `secrets(mac, token,
    peer)` packs the tar of BOINC files; `live_list(mac, token)` lists the archives for the root; `report(mac, token,
    report, peer)` takes a report and returns it, or why it was not taken; `exchange(mac, token, peer)` returns the one
    in the place of this one; `heartbeat(mac, token, heartbeat, peer)` takes a heartbeat and returns the reply.
    """

    script: Callable[[MacAddress, IPv4Address], str | Ignore]
    autoexec: Callable[[MacAddress], str | Ignore]
    secrets: Callable[[MacAddress, str, IPv4Address], bytes | Ignore]
    live_list: Callable[[MacAddress, str], str | Ignore]
    report: Callable[[MacAddress, str, Reported, IPv4Address], Reported | Ignore]
    exchange: Callable[[MacAddress, str, IPv4Address], str | Ignore]
    heartbeat: Callable[[MacAddress, str, Heartbeat, IPv4Address], HeartbeatReply | Ignore]


def longest_body(target: Target) -> int:
    """How many bytes the body of an admitted client's request may have."""
    return LONGEST_HEARTBEAT if isinstance(target, HeartbeatUrl) else LONGEST_BODY


def route(
    request: Request, target: Target, mac: MacAddress, peer: IPv4Address, sources: Sources
) -> Response | Ignore | LoaderFile | ImageUrl | LiveArchiveUrl | EntryScript:
    """The answer, why there is none, or what the answer will be made of: a file, or the script of a menu entry, for
    which a password may have to be checked."""
    match target, request.method:
        case ScriptUrl(), "GET" | "HEAD":
            return answers.script(sources.script(mac, peer))
        case AutoexecUrl(), "GET" | "HEAD":
            return answers.script(sources.autoexec(mac))
        case ((LoaderFile() | ImageUrl()), "GET" | "HEAD"):
            return target
        case ((EntryScript() | LiveArchiveUrl()), "GET"):
            return target
        case LiveListUrl(token), "GET":
            return answers.live_list(sources.live_list(mac, token))
        case Archive(token), "GET":
            return answers.archive(sources.secrets(mac, token, peer))
        case ReportUrl(token), "POST":
            report = reports.decode(mac, bytes(request.body))
            taken = report if isinstance(report, Ignore) else sources.report(mac, token, report, peer)
            return taken if isinstance(taken, Ignore) else Response(204, {})
        case ExchangeUrl(token), "POST":
            return answers.token(sources.exchange(mac, token, peer))
        case HeartbeatUrl(token), "POST":
            heartbeat = heartbeats.decode(mac, bytes(request.body))
            reply = heartbeat if isinstance(heartbeat, Ignore) else sources.heartbeat(mac, token, heartbeat, peer)
            return reply if isinstance(reply, Ignore) else answers.heartbeat(heartbeats.encode(reply))
        case ((ScriptUrl() | AutoexecUrl() | LoaderFile() | ImageUrl()), _):
            return answers.text(405, "only GET and HEAD\n", Allow="GET, HEAD")
        case ((EntryScript() | Archive() | LiveListUrl() | LiveArchiveUrl()), _):
            return answers.text(405, "only GET\n", Allow="GET")
        case ((ReportUrl() | ExchangeUrl() | HeartbeatUrl()), _):
            return answers.text(405, "only POST\n", Allow="POST")
    return Ignore(Reason.NO_FILE)
