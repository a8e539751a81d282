"""Mounts and unmounts for root's helper, whose sandbox cannot: what it mounts would be seen by nobody else.

netboot-appliance-mounts.service runs `python -m appliance.exports.mount_service`. At the start of the server, before an
NFS server starts, it mounts every volume there is: a PC that computed meanwhile finds its files again. Later root's
helper starts it by `carry_out`, which leaves a request in a directory of root's.
"""

import json
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

from appliance import last_resort
from appliance.config.file import Config, locate, tolerant
from appliance.errors import UserError
from appliance.exports import volumes
from appliance.exports.mailbox import directories
from appliance.exports.volumes import MountRequest
from services.linux import atomic_file, programs
from services.linux.programs import ProgramError

UNIT = "netboot-appliance-mounts.service"
log = logging.getLogger(__name__)
_SECONDS = 100
_UNDER_SYSTEMD = "INVOCATION_ID"  # systemd.exec(5)


def carry_out(config: Config, request: MountRequest) -> Mapping[str, str]:
    """As volumes.carry_out, by the unit if there is systemd; raises UserError."""
    if not os.environ.get(_UNDER_SYSTEMD):
        return volumes.carry_out(config, request)
    asked, answered = _files()
    atomic_file.write(asked, json.dumps(asdict(request)).encode(), mode=0o600, durable=False)
    answered.unlink(missing_ok=True)
    try:
        programs.output(("systemctl", "start", UNIT), seconds=_SECONDS)
        problems: Mapping[str, str] = json.loads(answered.read_bytes())
    except (ProgramError, OSError, ValueError) as error:
        raise UserError(
            f"the PCs' directories were not mounted: {error}", f"systemctl status {UNIT}", code=1
        ) from error
    return problems


def main() -> NoReturn:
    """Do what is asked, or mount all; an error goes to the journal, and a problem with one volume into the answer."""
    last_resort.run(_run_once)


def _run_once() -> int:
    asked, answered = _files()
    try:
        config = tolerant(locate(None))
        everything = MountRequest(mount=tuple(sorted(volumes.names(config))), seconds=math.inf)
        request = _read(asked)
        problems = volumes.carry_out(config, request or everything)
        if request is not None:
            atomic_file.write(answered, json.dumps(problems).encode(), durable=False)
    finally:
        asked.unlink(missing_ok=True)
    if problems and request is None:
        name, problem = min(problems.items())
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise UserError(f"{name} is not mounted{more}: {problem}", "see: netboot-appliance doctor", code=1)
    return 0


def _files() -> tuple[Path, Path]:
    _, own = directories()
    return own / "mount-request.json", own / "mount-answer.json"


def _read(path: Path) -> MountRequest | None:
    try:
        fields = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    keep = fields["keep"]
    return MountRequest(tuple(fields["mount"]), None if keep is None else tuple(keep))


if __name__ == "__main__":
    last_resort.run(main)
