"""A repository of Debian packages on this machine, signed with a key of its own, as a vendor's would be."""

import contextlib
import hashlib
import subprocess
import threading
from collections.abc import Iterator, Mapping
from email.utils import formatdate
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing: the log of a test is for its failures."""


class SignedRepository:
    """One suite with one component, `main`, below `root`; `key` is the public key that signs it, armored.
    `fields` are more lines for its Release file."""

    def __init__(self, root: Path, suite: str = "stable", origin: str = "vendor") -> None:
        self.root, self.suite = root, suite
        self._home = root.with_name(f"{root.name}-gnupg")
        self._home.mkdir(mode=0o700)
        self._index = root / "dists" / suite / "main" / "binary-amd64"
        self._index.mkdir(parents=True)
        self._gpg("--passphrase", "", "--quick-generate-key", f"{origin} <{origin}@example.org>", "ed25519", "sign")
        self.key = self._gpg("--export", "--armor")
        self.binary_key = self._gpg("--export")
        self.secret_key = self._gpg("--export-secret-keys", "--armor")
        self._stanzas: list[str] = []
        self.fields = ""
        self.publish()

    def add(self, name: str, files: Mapping[str, str], fields: str = "") -> None:
        """Build a package with these files, and publish it."""
        tree = self.root.with_name(f"{self.root.name}-{name}")
        for path, text in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(text)
            (tree / path).chmod(0o755 if text.startswith("#!") else 0o644)
        control = f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: V <v@example.org>\n{fields}"
        control += "Description: a vendor's package\n"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN" / "control").write_text(control)
        package = self.root / f"{name}.deb"
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(package)], check=True, capture_output=True
        )
        content = package.read_bytes()
        where = f"Filename: {package.name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
        self._stanzas.append(f"{control}{where}")
        self.publish()

    def publish(self) -> None:
        """Write the index anew, and sign it."""
        index = "\n".join(self._stanzas).encode()
        (self._index / "Packages").write_bytes(index)
        release = (
            f"Origin: vendor\nSuite: {self.suite}\nCodename: {self.suite}\nArchitectures: amd64\nComponents: main\n"
            f"Date: {formatdate(usegmt=True)}\n{self.fields}SHA256:\n"
            f" {hashlib.sha256(index).hexdigest()} {len(index)} main/binary-amd64/Packages\n"
        )
        suite = self.root / "dists" / self.suite
        (suite / "InRelease").write_bytes(self._gpg("--clearsign", text=release.encode()))

    @contextlib.contextmanager
    def served(self) -> Iterator[str]:
        """Serve it on this machine over HTTP; yields its address."""
        with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(self.root))) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_port}"
            finally:
                server.shutdown()
                thread.join()

    def _gpg(self, *arguments: str, text: bytes = b"") -> bytes:
        command = ["gpg", "--homedir", str(self._home), "--batch", "--pinentry-mode", "loopback", *arguments]
        try:
            return subprocess.run(command, input=text, capture_output=True, check=True).stdout
        finally:
            subprocess.run(["gpgconf", "--homedir", str(self._home), "--kill", "all"], check=False)
