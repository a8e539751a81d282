"""A release in which a program of the test runs as root once the live system is up: what the image itself offers to
nobody. Its initramfs gets one more script, as a second archive behind the first.
"""

import hashlib
import json
from pathlib import Path

_INSTALL = """\
#!/bin/sh
[ "${1:-}" != prereqs ] || exit 0
cp /probe/probe.py "$rootmnt/root/probe.py"
cp /probe/probe.service "$rootmnt/etc/systemd/system/probe.service"
ln -s /etc/systemd/system/probe.service "$rootmnt/etc/systemd/system/multi-user.target.wants/probe.service"
"""
_ORDER = """\
/scripts/live-bottom/netboot-appliance "$@"
[ -e /conf/param.conf ] && . /conf/param.conf
/scripts/live-bottom/probe "$@"
"""
_UNIT = """\
[Unit]
After=boinc-client.service netboot-agent.service

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /root/probe.py
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
"""


def add_probe(release: Path, program: Path) -> None:
    """Make the release in this directory run `program` as root at each boot. Its initramfs may be a hard link."""
    more = {
        "probe": b"",
        "probe/probe.py": program.read_bytes(),
        "probe/probe.service": _UNIT.encode(),
        "scripts/live-bottom/probe": _INSTALL.encode(),
        "scripts/live-bottom/ORDER": _ORDER.encode(),
    }
    initrd = release / "initrd.img"
    old = initrd.read_bytes()
    new = old + bytes(-len(old) % 4) + _cpio(more)
    initrd.unlink()
    initrd.write_bytes(new)
    manifest = json.loads((release / "manifest.json").read_text())
    manifest["files"]["initrd.img"] = {"size": len(new), "sha256": hashlib.sha256(new).hexdigest()}
    (release / "manifest.json").unlink()
    (release / "manifest.json.sig").unlink(missing_ok=True)
    (release / "manifest.json").write_text(json.dumps(manifest))


def _cpio(files: dict[str, bytes]) -> bytes:
    """An archive in cpio's newc format; what has no content is a directory."""
    archive = b""
    for number, (name, content) in enumerate({**files, "TRAILER!!!": b""}.items(), 1):
        mode = 0o100755 if content else 0o040755
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        archive += b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        archive += bytes(-len(archive) % 4) + content
        archive += bytes(-len(archive) % 4)
    return archive
