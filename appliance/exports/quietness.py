"""Whether the page may have a PC's work set aside: only if nobody uses it, and not the work of a whole room. PURE.

What counts is what root sees: packets to the NFS ports, and times of files. Whoever has taken over the page can write
what he likes into the registry.
"""

from dataclasses import dataclass

from appliance.errors import UserError
from services.ethernet import MacAddress
from services.spans import span

QUIET_SECONDS = 300.0
"""A PC whose work was used within this time may be on. An NFSv4 client renews its lease every minute."""

MOST_KEPT = 20
"""So much work is set aside at a time, of all PCs together. Root's verb has no such bound."""

_FRESH_SECONDS = 120.0
"""The server has root look at the packets twice a minute."""


@dataclass(frozen=True, slots=True)
class WorkUse:
    """What root sees of the use of a PC's work, in seconds ago. `exported`: to any address. `looked`: when somebody
    last looked for packets, `packet`: when one came from the PC to the NFS ports before that; None: never, or longer
    ago than is known. `written`: when its file system was mounted last or, if it is mounted, when a file was made in
    its topmost directory."""

    exported: bool
    looked: float | None
    packet: float | None
    written: float | None


def objection(mac: MacAddress, use: WorkUse, kept: int) -> UserError | None:
    """Why the page may not have this work set aside, or None; `kept` is how much is set aside already."""
    if kept >= MOST_KEPT:
        return UserError(
            f"work of {kept} PCs is set aside already; {mac} was not changed",
            f"delete what nobody needs: sudo netboot-appliance clients purge; or as root: {_by_root(mac)}",
            code=1,
        )
    if use.exported and (use.looked is None or use.looked > _FRESH_SECONDS):
        return UserError(
            f"nobody knows whether {mac} uses its work now; nothing was changed",
            "is the server running? systemctl status netboot-appliance netboot-appliance-exports.path",
            code=1,
        )
    last = min((each for each in (use.packet, use.written) if each is not None), default=QUIET_SECONDS)
    if last < QUIET_SECONDS:
        return UserError(
            f"the work of {mac} was used {span(max(last, 0.0))} ago; nothing was changed",
            "if the PC is off: try again in five minutes",
            code=1,
        )
    return None


def _by_root(mac: MacAddress) -> str:
    return f"sudo netboot-appliance clients forget {mac} --history --work"
