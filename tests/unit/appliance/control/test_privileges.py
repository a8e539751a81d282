"""The control process that root starts by hand, where the registry belongs to the service's user."""

import os
import sys
from pathlib import Path
from subprocess import CompletedProcess, run

from tests.unit.ownership import OTHER_GROUP, OTHER_USER, needs_root, open_to_others

PROGRAM = """\
import os, sys
from pathlib import Path
from appliance.control.privileges import become_owner_of

place = Path(sys.argv[1])
become_owner_of(place)
(place / "made").touch()
print(os.getresuid(), os.getresgid(), os.getgroups())
try:
    os.setuid(0)
except PermissionError:
    print("for good")
"""


def become(directory: Path) -> CompletedProcess[str]:
    return run([sys.executable, "-c", PROGRAM, str(directory)], capture_output=True, text=True, check=True)


@needs_root
def test_it_works_as_the_owner_of_the_registry_for_good(tmp_path: Path) -> None:
    open_to_others(tmp_path)
    theirs = tmp_path / "registry"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, OTHER_USER, OTHER_GROUP)
    users, groups = (OTHER_USER,) * 3, (OTHER_GROUP,) * 3
    assert become(theirs).stdout == f"{users} {groups} [{OTHER_GROUP}]\nfor good\n"
    made = (theirs / "made").stat()
    assert (made.st_uid, made.st_gid) == (OTHER_USER, OTHER_GROUP)


def test_in_its_own_directory_it_stays_who_it_is(tmp_path: Path) -> None:
    users, groups = (os.getuid(),) * 3, (os.getgid(),) * 3
    assert become(tmp_path).stdout.startswith(f"{users} {groups} ")
