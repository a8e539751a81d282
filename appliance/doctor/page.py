"""Whether the page can be opened: its process, its certificate, and who may connect. Judging is PURE."""

import http.client
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.config.file import Config
from appliance.doctor.finding import Finding, note, ok, warning
from appliance.page import certificate
from appliance.page.address import local_address, urls
from appliance.page.certificate import Certificate
from appliance.page.networks import chosen
from appliance.registry.server_lock import holder

_SECONDS = 5.0
_MONTH = 30 * 86400.0
_BLIND = "nobody can see the room in a browser"
_START = "systemctl start netboot-appliance-control (by hand: netboot-appliance control)"


@dataclass(frozen=True, slots=True)
class PageSigns:
    """What is seen of the page. `pid`: its process, or None; `trouble`: why it does not answer, or empty; `found`: its
    certificate, or None; `own`: whether the box made that."""

    pid: int | None
    trouble: str
    found: Certificate | None
    own: bool


def judge(signs: PageSigns, addresses: Sequence[str], networks: Sequence[str], now: float) -> list[Finding]:
    """`addresses` of the page, and `networks` that may connect, as people read them; `now` in seconds since the
    epoch."""
    if signs.pid is None:
        return [warning("page", "the page is not running", _BLIND, f"start it: {_START}")]
    if signs.trouble:
        return [
            warning(
                "page",
                f"the page runs as process {signs.pid}, but does not answer: {signs.trouble}",
                _BLIND,
                "see why: journalctl -u netboot-appliance-control; then: systemctl restart netboot-appliance-control",
            )
        ]
    findings = [ok("page", f"the page answers at {', '.join(addresses)}")]
    if signs.found and signs.found.ends - now < _MONTH and not signs.own:
        days = int((signs.found.ends - now) / 86400)
        findings.append(
            warning(
                "page",
                f"the page's certificate {signs.found.path} {f'ends in {days} days' if days >= 0 else 'has ended'}",
                "browsers refuse the page then",
                "renew it: the page reads the file again by itself",
            )
        )
    if networks:
        findings.append(ok("page", f"only {', '.join(networks)} may connect to the page"))
    else:
        findings.append(
            note(
                "page",
                "only this server may connect to the page: no interface has an address",
                "",
                "say who may: [control] networks",
            )
        )
    return findings


def check(config: Config) -> list[Finding]:
    """Open the page as a browser on this server does."""
    if not config.control.enabled:
        return [note("page", "the page is switched off: [control] enabled = false")]
    pid = holder(config.registry, "control")
    trouble = _ask(config) if pid is not None else ""
    found = None
    if pid is not None and not config.control.behind_proxy:
        found = certificate.read(certificate.path_of(config))
    signs = PageSigns(pid, trouble, found, not config.control.certificate)
    return judge(signs, urls(config), [str(each) for each in chosen(config)], time.time())


def _ask(config: Config) -> str:
    """Why the page does not answer, or empty."""
    host, port = str(local_address(config)), config.control.listen.port
    connection: http.client.HTTPConnection
    if config.control.behind_proxy:
        connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    else:
        anybodys = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anybodys.check_hostname = False
        anybodys.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=anybodys)
    try:
        connection.request("GET", "/login")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    return "" if status == http.HTTPStatus.OK else f"status {status}"
