"""A small offline BOINC project for the real boinc-client: the only fake in the virtual room.

`python -m tests.fakes.boinc_project --address 10.77.0.3 --port 80 --directory DIR [--job-seconds 15]` serves the master
page, the scheduler, the download of two signed scripts and the upload of its output, all below the master URL
`http://10.77.0.3/fake/`. It prints one line per event, and keeps its state in DIR for `read_status`; a restart
continues from there.
"""

import argparse
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType

from tests.fakes.boinc_records import Host, Result, Status, read_status
from tests.fakes.boinc_scheduler import ACCOUNT_KEY, Project

__all__ = ["ACCOUNT_KEY", "Host", "Project", "ProjectServer", "Result", "Status", "main", "master_url", "read_status"]

ROOT = "/fake/"
BODY_LIMIT = 4 << 20
HTTP_PORT = 80


def master_url(address: str, port: int = HTTP_PORT) -> str:
    """The URL by which clients attach to the project at this address."""
    return f"http://{address}{'' if port == HTTP_PORT else f':{port}'}{ROOT}"


class ProjectServer(ThreadingHTTPServer):
    """The project on a TCP port; one thread per connection."""

    daemon_threads = True

    def __init__(self, address: str, port: int, project: Project) -> None:
        super().__init__((address, port), _Request)
        self.project = project


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: ProjectServer

    def do_GET(self) -> None:
        project = self.server.project
        pages = {
            "": ("text/html", project.master_page().encode()),
            "get_project_config.php": ("text/xml", project.project_config().encode()),
            **{f"download/{name}": ("application/octet-stream", file) for name, file in project.files.items()},
        }
        page = pages.get(self.path.partition("?")[0].removeprefix(ROOT))
        if page:
            self._send(200, *page)
        else:
            self._send(404, "text/plain", b"not found\n")

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        if length > BODY_LIMIT:
            self.close_connection = True
            self._send(413, "text/plain", b"too large\n")
            return
        body = self.rfile.read(length)
        match self.path.removeprefix(ROOT):
            case "cgi":
                self._send(200, "text/xml", self.server.project.schedule(body.decode(errors="replace")).encode())
            case "file_upload_handler":
                self._send(200, "text/xml", self.server.project.upload(body).encode())
            case _:
                self._send(404, "text/plain", b"not found\n")

    def _send(self, code: int, kind: str, content: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the project logs events, not requests."""


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="A small offline BOINC project for tests.")
    parser.add_argument("--address", required=True)
    parser.add_argument("--port", type=int, default=HTTP_PORT)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--account-key", default=ACCOUNT_KEY)
    parser.add_argument("--job-seconds", type=int, default=15)
    parser.add_argument("--jobs-per-host", type=int, default=0, help="0: no end of jobs")
    parser.add_argument("--attacked", nargs="*", default=(), help="the addresses that the first jobs attack")
    options = parser.parse_args(arguments)
    project = Project(
        options.directory,
        master_url(options.address, options.port),
        lambda line: print(line, flush=True),
        account_key=options.account_key,
        job_seconds=options.job_seconds,
        jobs_per_host=options.jobs_per_host,
        attacked=tuple(options.attacked),
    )

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    with ProjectServer(options.address, options.port, project) as server:
        print(f"serving {project.url}", flush=True)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
