"""Root's privileges: the control process started by root works as the owner of the registry."""

import os
import pwd
from pathlib import Path

from appliance.errors import UserError


def become_owner_of(directory: Path) -> None:
    """As root, become the user that the directory belongs to, for good; for others, and root's directories, nothing
    changes. Raises UserError."""
    if os.geteuid() != 0 or not directory.exists():
        return
    owner = directory.stat()
    if owner.st_uid == 0:
        return
    try:
        # Its groups too: the configuration is readable for one of them.
        os.initgroups(pwd.getpwuid(owner.st_uid).pw_name, owner.st_gid)
        os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
        os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
    except (OSError, KeyError) as error:
        raise UserError(
            f"cannot work as the owner of {directory}, user {owner.st_uid}: {error}", f"ls -ld {directory}", code=1
        ) from None
