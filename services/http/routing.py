"""What an admitted client's request gets: which URLs there are, and who answers each. PURE.

    GET, HEAD  /boot/<mac>/loader/<file>              a boot loader, for UEFI HTTP boot
    GET, HEAD  /boot/<mac>/boot.ipxe                  the boot script
    GET        /boot/<mac>/menu/<entry>.ipxe          the script of one menu entry; a locked one needs its password
    GET, HEAD  /boot/<mac>/image/<release>/<file>     vmlinuz, initrd.img or live/filesystem.squashfs, with ranges
    GET        /boot/<mac>/<token>/boinc.tar          the BOINC files of this boot
    POST       /boot/<mac>/<token>/report             a stage that the live system reached

Files and menu entries are only named here: who opens the one, and checks a password for the other, is
services/http/server.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.events import Reported
from services.http import answers, reports
from services.http.messages import Request, Response
from services.http.paths import Archive, EntryScript, ImageUrl, LoaderFile, ReportUrl, ScriptUrl, Target


@dataclass(frozen=True, slots=True)
class Sources:
    """Where answers come from; all return at once.

    `script(mac, peer)` writes the boot script, with the token of a new boot; `secrets(mac, token)` packs the tar of
    BOINC files; `report(mac, token, report)` returns the report it took, or why it did not.
    """

    script: Callable[[MacAddress, IPv4Address], str | Ignore]
    secrets: Callable[[MacAddress, str], bytes | Ignore]
    report: Callable[[MacAddress, str, Reported], Reported | Ignore]


def route(
    request: Request, target: Target, mac: MacAddress, peer: IPv4Address, sources: Sources
) -> Response | Ignore | LoaderFile | ImageUrl | EntryScript:
    """The answer, a refusal, or what to answer with: a file to open, a menu entry whose password may have to be
    checked."""
    match target, request.method:
        case ScriptUrl(), "GET" | "HEAD":
            return answers.script(sources.script(mac, peer))
        case ((LoaderFile() | ImageUrl()), "GET" | "HEAD"):
            return target
        case EntryScript(), "GET":
            return target
        case Archive(token), "GET":
            return answers.archive(sources.secrets(mac, token))
        case ReportUrl(token), "POST":
            report = reports.decode(mac, bytes(request.body))
            taken = report if isinstance(report, Ignore) else sources.report(mac, token, report)
            return taken if isinstance(taken, Ignore) else Response(204, {})
        case ((ScriptUrl() | LoaderFile() | ImageUrl()), _):
            return answers.text(405, "only GET and HEAD\n", Allow="GET, HEAD")
        case ((EntryScript() | Archive()), _):
            return answers.text(405, "only GET\n", Allow="GET")
        case ReportUrl(), _:
            return answers.text(405, "only POST\n", Allow="POST")
    return Ignore(Reason.NO_FILE)
