"""HTTP against nginx: large files to few and to many clients, pieces of files, and small boot scripts.

Both serve the same files of one release from the page cache, over the loopback, to keep-alive clients with addresses
of their own. nginx has one worker, sendfile and tcp_nopush, and writes no access log; ours records each
transfer as usual. For small answers there is a second nginx with the access log that it has by default.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.box import MB, install_image
from bench.measure import CPU, SPEED, Contest, Contestant, Figure, Sample, extra
from bench.servers import FIRST_MAC, Nginx, Ours, Server
from bench.site import Site, compiled, load
from image.release import INITRD, SQUASHFS

KERNEL_BYTES, INITRD_BYTES, SQUASHFS_BYTES = 8 * MB, 40 * MB, 200 * MB
SCRIPT = "boot.ipxe"

P99 = extra("p99_ms", "p99 ms")
CPU_REQUEST = Figure("CPU us/request", lambda sample: sample.cpu / sample.extra["requests"] * 1e6)
REQUESTS = extra("requests_s", "requests/s", lower_is_better=False)

_SCRIPT_BEGINS = "#!ipxe"
_SCRIPT_BYTES = 600  # about as long as ours
_PIECE = 1 * MB


class OursWithImage(Ours):
    """Our server with a release whose files have the sizes of real ones."""

    def prepare(self) -> None:
        """As usual, and then that release, which becomes the active one."""
        super().prepare()
        images = self.data / "images"
        self.release = install_image(images, kernel=KERNEL_BYTES, initrd=INITRD_BYTES, squashfs=SQUASHFS_BYTES)


@dataclass(frozen=True)
class Side:
    """A server, the directory of the release that it serves, and how its files and its script are asked for: `{file}`
    is the name, `%m` the client's MAC address."""

    server: Server
    release: Path
    files: str
    script: str

    def command(self, name: str, clients: int, requests: int, *more: str) -> list[str]:
        """The load generator: each of `clients` gets the file `name` this many times."""
        if name == SCRIPT:
            content, path = ("--prefix", _SCRIPT_BEGINS), self.script
        else:
            content, path = ("--file", str(self.release / name)), self.files.format(file=name)
        return [
            str(compiled("http_load")),
            *("--server", str(self.server.address), "--path", path, *content, "--mac", f"{FIRST_MAC:012x}"),
            *("--clients", str(clients), "--requests", str(requests), *more),
        ]

    def run(self, name: str, clients: int, requests: int, *more: str) -> Sample:
        """One run of it on the servers' host. Extra: what it prints, such as `p99_ms`, `requests_s`, `failures`."""

        def one() -> Sample:
            found = load(self.server.site.host, self.command(name, clients, requests, *more))
            figures = {key: float(value) for key, value in found.items() if key != "complaint"}
            return Sample(int(figures["bytes"]), figures["seconds"], 0, figures)

        return self.server.measured(one)


@contextmanager
def sides(site: Site) -> Iterator[list[Side]]:
    """Ours, nginx without and with an access log, up at once on the same files."""
    with ExitStack() as stack:
        ours = OursWithImage(site)
        stack.callback(ours.stop)
        ours.start()
        release = ours.release.path
        image = f"/boot/%m/image/{ours.release.id}/{{file}}"
        found = [Side(ours, release, image, f"/boot/%m/{SCRIPT}")]
        (release / SCRIPT).write_bytes(_SCRIPT_BEGINS.encode().ljust(_SCRIPT_BYTES, b"\n"))
        for log in (False, True):
            nginx = Nginx(site, release, log=log)
            stack.callback(nginx.stop)
            nginx.start()
            found.append(Side(nginx, release, "/{file}", f"/{SCRIPT}"))
        yield found


def contests(found: Sequence[Side]) -> list[Contest]:
    """10 and 100 clients, whose data is checked, or discarded unread; ranges; boot scripts."""
    ours, plain, _ = found
    files = (ours, plain)
    discard = "--discard"
    return [
        Contest("HTTP, 10 clients x 200 MB", _all(files, SQUASHFS, 10, 1), (CPU, SPEED, P99)),
        Contest("HTTP, 10 clients x 200 MB, client reads nothing", _all(files, SQUASHFS, 10, 1, discard), (CPU, SPEED)),
        Contest("HTTP, 100 clients x 40 MB", _all(files, INITRD, 100, 1), (CPU, SPEED, P99)),
        Contest("HTTP, 100 clients x 40 MB, client reads nothing", _all(files, INITRD, 100, 1, discard), (CPU, SPEED)),
        Contest(
            "HTTP, 10 clients x 40 pieces of 1 MB",
            _all(files, SQUASHFS, 10, 40, "--range", str(_PIECE)),
            (CPU, SPEED, P99),
        ),
        Contest("HTTP, 100 clients x 20 boot scripts", _all(found, SCRIPT, 100, 20), (CPU_REQUEST, REQUESTS, P99)),
    ]


def _all(found: Sequence[Side], name: str, clients: int, requests: int, *more: str) -> list[Contestant]:
    def contestant(side: Side) -> Contestant:
        return Contestant(side.server.name, lambda: side.run(name, clients, requests, *more))

    return [contestant(side) for side in found]
