"""Moves the registry of netboot-appliance 0.1.0, which was in the data directory itself, to where it is today.

Happens once, with the first command that root runs. The server under systemd may not read the old file, and says so.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from appliance.errors import UserError
from appliance.registry import schema
from appliance.registry.file_owner import acting_as_owner, copy_in
from appliance.registry.server_lock import holder

_DIRECTORY = "registry"


def move_old_registry(path: Path) -> None:
    """If there is a registry of 0.1.0, and none at `path` yet, copy it to `path`; raises UserError and OSError.

    The old file is kept under another name, so that it is not moved a second time.
    """
    old = path.parent.parent / path.name
    if path.parent.name != _DIRECTORY or os.path.lexists(path) or not old.is_file():
        return
    if not os.access(old, os.R_OK | os.W_OK):
        raise UserError(
            f"the registry of netboot-appliance 0.1.0 is still at {old}", "to move it: sudo netboot-appliance status"
        )
    if pid := holder(old):
        raise UserError(
            f"the old netboot-appliance (process {pid}) is still running with {old}", f"stop it: kill {pid}", code=1
        )
    path.parent.mkdir(mode=0o700, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / path.name
        schema.snapshot(old, copy)
        try:
            copy_in(copy, unfinished)
            # A link, because it never replaces a registry that another process has just made.
            with acting_as_owner(path.parent), suppress(FileExistsError):
                os.link(unfinished, path)
        finally:
            with acting_as_owner(path.parent):
                unfinished.unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        old.rename(old.with_name(f"{old.name}.taken-over"))
