"""The door to other web servers: bounds, proxies, certificates, and what is wrong in words."""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from services.boinc import web
from services.boinc.files import Proxy
from services.boinc.web import Web, WebError
from tests.room import certificates
from tests.unit.debian import need


class Site(ThreadingHTTPServer):
    """A web server, or a proxy: answers each request with what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Page)
        self.url = f"http://127.0.0.1:{self.server_port}/"
        self.authorization = ""
        self.closing = threading.Event()


class _Page(BaseHTTPRequestHandler):
    server: Site

    def log_message(self, *arguments: object) -> None:
        pass

    def do_POST(self) -> None:
        self._send(200, self.rfile.read(int(self.headers["Content-Length"])))

    def do_GET(self) -> None:
        self.server.authorization = self.headers.get("Proxy-Authorization", "")
        match self.path.partition("?")[0].rpartition("/")[2]:
            case "large":
                self._send(200, b"x" * (web.LARGEST + 1000))
            case "gone":
                self._send(410, b"secret")
            case "moved":
                self._send(302, b"", "/here")
            case "file":
                self._send(302, b"", "file:///etc/passwd")
            case "loop":
                self._send(302, b"", "/loop")
            case "slow":
                self._drip()
            case _:
                self._send(200, self.path.encode())

    def _send(self, number: int, content: bytes, location: str = "") -> None:
        self.send_response(number)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.server.closing.wait(0.02):
            self.wfile.write(b"x")


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_page_and_an_answer_to_a_body(site: Site) -> None:
    assert Web().get(f"{site.url}a?b=1").content == b"/a?b=1"
    assert Web().post(f"{site.url}rpc.php", "<x/>").content == b"<x/>"


def test_a_page_is_bounded(site: Site) -> None:
    assert len(Web().get(f"{site.url}large").content) == web.LARGEST


def test_a_page_that_never_ends_is_left(site: Site) -> None:
    with pytest.raises(WebError, match="too slowly"):
        Web(seconds=0.2).get(f"{site.url}slow")


def test_redirects_lead_to_web_servers_only(site: Site) -> None:
    assert Web().get(f"{site.url}moved").url == f"{site.url}here"
    for path in ("file", "loop"):
        with pytest.raises(WebError):
            Web().get(f"{site.url}{path}")


def test_what_is_wrong_is_said_without_what_was_asked(site: Site) -> None:
    with pytest.raises(WebError, match="answers 410 Gone") as caught:
        Web().get(f"{site.url}gone?account_key=hunter2")
    assert "hunter2" not in str(caught.value)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(WebError, match="refuses the connection"):
            Web().get(f"http://127.0.0.1:{closed.getsockname()[1]}/")
        closed.listen()
        with pytest.raises(WebError, match="does not answer in time"):
            Web(seconds=0.2).get(f"http://127.0.0.1:{closed.getsockname()[1]}/")


def test_a_server_that_speaks_something_else() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(b"SSH-2.0-x\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(WebError, match="no valid answer"):
            Web().get(f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join()


def test_the_proxy_is_asked_except_for_its_exceptions(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:9")
    proxy = Proxy("127.0.0.1", site.server_port, "me", "a@b", ("127.0.0.1",))
    assert Web(proxy).get("http://project.example/x").content == b"http://project.example/x"
    assert site.authorization == "Basic bWU6YUBi"
    assert Web(proxy).get(f"{site.url}x").content == b"/x"
    assert Web().get(f"{site.url}x").content == b"/x", "nor that of the environment"


def test_certificates_of_the_configuration_are_trusted_and_no_others(site: Site, tmp_path: Path) -> None:
    need("openssl")
    kind = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -keyout key.pem -out ca.pem"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([str(shutil.which("openssl")), *kind.split(), *names], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    site.socket = context.wrap_socket(site.socket, server_side=True)
    url = f"https://127.0.0.1:{site.server_port}/x"
    with pytest.raises(WebError, match="its certificate is not trusted"):
        Web().get(url)
    assert Web(ca=(tmp_path / "ca.pem").read_text()).get(url).content == b"/x"


def test_an_offices_own_certificate_may_be_incomplete_as_it_may_for_the_pcs(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no authority key identifier. Since 3.13 Python asks for one by default."""
    need("openssl")
    usual = ssl.create_default_context

    def of_python_3_13() -> ssl.SSLContext:
        context = usual()
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", of_python_3_13)
    office = certificates.issue(tmp_path, IPv4Address("127.0.0.1"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(office.server)
    site.socket = context.wrap_socket(site.socket, server_side=True)
    answer = Web(ca=office.authority.read_text()).get(f"https://127.0.0.1:{site.server_port}/x")
    assert answer.content == b"/x"
