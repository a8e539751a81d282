"""Root's privileges: the control process started by root works as the owner of the registry."""

import contextlib
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
    groups = [owner.st_gid]
    if owner.st_uid == 0:
        return
    try:
        # The configuration is readable for one of its groups.
        with contextlib.suppress(KeyError):
            groups = os.getgrouplist(pwd.getpwuid(owner.st_uid).pw_name, owner.st_gid)
        os.setgroups(groups)
        os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
        os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)
    except OSError as error:
        raise UserError(
            f"cannot work as the owner of {directory}, user {owner.st_uid}: {error.strerror}",
            f"ls -ld {directory}",
            code=1,
        ) from None
