"""The door to other web servers: one page at a time, bounded in bytes and in time.

Asks BOINC projects and account managers, through the proxy that the PCs use, with the certificates that they trust.
Reads nothing of the environment, and follows redirects to http and https only. Waits: never call it in an event loop.
"""

import http.client
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from services.boinc.files import Proxy
from services.foreign_text import printable
from services.trusted_certificates import client_context

LARGEST = 512 << 10
"""Bytes of a page; the rest is not read."""
AGENT = "netboot-appliance"


class WebError(Exception):
    """Why there is no page, in words. Never has what followed the path of the URL."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a server sent, and from where in the end."""

    url: str
    content: bytes


class Web:
    """`seconds` bounds each wait for the server, and twice that the whole page."""

    def __init__(self, proxy: Proxy | None = None, ca: str = "", seconds: float = 15.0) -> None:
        self._exceptions = proxy.exceptions if proxy else ()
        context = client_context(ca)
        self._seconds = seconds
        self._direct = _opener(context, None)
        self._by_proxy = _opener(context, proxy)

    def get(self, url: str) -> Page:
        """The page; raises WebError."""
        return self._open(url, None)

    def post(self, url: str, body: str) -> Page:
        """The answer to a body, which is sent as BOINC's client does it; raises WebError."""
        return self._open(url, body.encode())

    def _open(self, url: str, body: bytes | None) -> Page:
        opener = self._direct if urlsplit(url).hostname in self._exceptions else self._by_proxy
        until = time.monotonic() + 2 * self._seconds
        try:
            with opener.open(url, body, self._seconds) as answer:
                content = bytearray()
                while len(content) < LARGEST and (piece := answer.read1(1 << 16)):
                    content += piece
                    if time.monotonic() > until:
                        raise WebError(f"sends its page too slowly: {len(content)} bytes in {2 * self._seconds:g} s")
                return Page(answer.geturl(), bytes(content[:LARGEST]))
        except urllib.error.HTTPError as error:
            error.close()
            raise WebError(f"answers {error.code} {printable(str(error.reason))}") from None
        except urllib.error.URLError as error:
            raise WebError(_words(error.reason)) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise WebError(_words(error)) from None


def _words(reason: object) -> str:
    match reason:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {printable(reason.verify_message)}"
        case TimeoutError():
            return "does not answer in time"
        case ConnectionRefusedError():
            return "refuses the connection"
        case OSError() if reason.strerror:
            return printable(reason.strerror)
        case _:
            return printable(f"sends no valid answer ({type(reason).__name__})")


def _opener(context: ssl.SSLContext, proxy: Proxy | None) -> urllib.request.OpenerDirector:
    """Not urllib's own: that knows files, FTP and the environment too."""
    opener = urllib.request.OpenerDirector()
    proxies = {} if proxy is None else dict.fromkeys(("http", "https"), _url(proxy))
    for handler in (
        urllib.request.ProxyHandler(proxies),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=context),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    opener.addheaders = [("User-Agent", AGENT)]
    return opener


def _url(proxy: Proxy) -> str:
    user = quote(proxy.user, safe="") + (":" + quote(proxy.password, safe="") if proxy.password else "")
    return f"http://{user}{'@' if user else ''}{proxy.host}:{proxy.port}"
