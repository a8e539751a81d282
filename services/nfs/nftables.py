"""Puts up the wall before the NFS ports with nft(8), takes it down, and reads what it recorded. Every function blocks.

Touches only the two tables that services/nfs/wall.py renders. Needs root, or CAP_NET_ADMIN.
"""

from services.linux import programs
from services.linux.programs import ProgramError
from services.nfs.backend import NfsError
from services.nfs.wall import REMOVE, TABLE, Pair, recorded

_SECONDS = 60.0
_ABSENT = "No such file or directory"


def put_up(text: str) -> None:
    """Put this wall in force (services.nfs.wall.render); raises NfsError, and then nothing has changed."""
    try:
        _nft(text)
    except NfsError:
        # Ours of another version may have sets of other types; without what they recorded it is the same wall.
        _nft(REMOVE + text)


def take_down() -> None:
    """Remove our tables; raises NfsError."""
    _nft(REMOVE)


def is_up() -> bool:
    """Whether a wall is in force, whichever; raises NfsError if that cannot be seen."""
    try:
        programs.output(("nft", "--terse", "list", "chain", "inet", TABLE, "guard"), seconds=_SECONDS)
    except ProgramError as error:
        if _ABSENT in error.said:
            return False
        raise _explain(error) from error
    return True


def heard() -> dict[Pair, float]:
    """The clients that sent packets to the NFS ports, and the seconds since the last one; raises NfsError."""
    return _recorded("inet", "heard")


def claims() -> dict[Pair, float]:
    """Those who used a granted address without being granted it, and the seconds since then; raises NfsError."""
    return _recorded("inet", "claims") | _recorded("arp", "claims")


def pairs() -> frozenset[Pair]:
    """The clients that the wall in force lets in; raises NfsError."""
    return frozenset(_recorded("inet", "pairs"))


def _recorded(family: str, name: str) -> dict[Pair, float]:
    try:
        listing = programs.output(("nft", "--json", "list", "set", family, TABLE, name), seconds=_SECONDS)
        return dict(recorded(listing))
    except ProgramError as error:
        if _ABSENT in error.said:
            return {}
        raise _explain(error) from error
    except ValueError as error:
        raise NfsError(str(error), f"run it by hand: nft --json list set {family} {TABLE} {name}") from error


def _nft(text: str) -> None:
    try:
        programs.output(("nft", "--file", "-"), seconds=_SECONDS, text=text)
    except ProgramError as error:
        raise _explain(error) from error


def _explain(error: ProgramError) -> NfsError:
    what = "the NFS ports cannot be guarded"
    if error.missing:
        return NfsError(f"{what}: nft is not installed", "apt-get install nftables")
    return NfsError(f"{what}: {str(error)[:500]}", "run it as root, on a kernel with nf_tables: nft list ruleset")
