"""Watches whether the running server's interfaces are still those on which it opened its sockets.

A socket belongs to one interface and one address. To the kernel, an interface that was deleted and recreated under the
same name is a different one: nothing reaches the server through it. So the server ends, and systemd restarts
it on the new interface. If an interface is just gone, the server waits for it to come back.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from appliance.errors import UserError
from services.linux.interfaces import Interface, Link, interface_address, links

SETTLED = 3.0
"""Seconds for which an interface must be different: reconfiguring one removes addresses and adds them again."""

_LOOK_EVERY = 1.0

log = structlog.get_logger("serve")


class InterfaceWatch:
    """The interfaces of one server. `trouble` says what is wrong with them now, one line for each."""

    def __init__(self, served: Sequence[Interface]) -> None:
        self._served = served
        self._different_since: dict[str, float] = {}
        self.trouble: tuple[str, ...] = ()

    def look(self, found: Sequence[Link], now: float) -> None:
        """Compare with the interfaces that exist at `now`, in monotonic seconds. Raises UserError if one has been
        different for SETTLED seconds."""
        trouble = {interface: _trouble(interface, found) for interface in self._served}
        self.trouble = tuple(words for words in trouble.values() if words)
        for interface, words in trouble.items():
            usable = any(link.name == interface.name and link.addresses for link in found)
            if not words or not usable:
                self._different_since.pop(interface.name, None)
            elif now - self._different_since.setdefault(interface.name, now) >= SETTLED:
                raise UserError(
                    f"{words}: the server must be restarted",
                    "systemd does that by itself; without systemd: netboot-appliance serve",
                    code=1,
                )

    async def watch(self, changed: Callable[[tuple[str, ...]], None]) -> None:
        """Look once a second until cancelled; call `changed` when there is trouble, and when it is over. Raises
        UserError like `look`."""
        first = True
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            before = self.trouble
            if not first and not self.trouble and all(map(_is_as_served, self._served)):
                continue
            try:
                found = links()
                self.look(found, time.monotonic())
            except OSError:
                log.exception("cannot look at the interfaces; trying again")
                continue
            if first and not self.trouble:
                self._log_unserved(found)
                first = False
            if self.trouble == before:
                continue
            if self.trouble:
                log.warning("PCs cannot reach the server", why="; ".join(self.trouble))
            else:
                log.info("the interfaces are back")
            try:
                changed(self.trouble)
            except Exception:
                log.exception("cannot write the change of the interfaces to the registry")

    def _log_unserved(self, found: Sequence[Link]) -> None:
        """Log additional addresses of an interface: PCs are sent to the first, and nothing listens on the others."""
        for interface in self._served:
            link = next(link for link in found if link.index == interface.index)
            if others := [str(each.address) for each in link.addresses if each.address != interface.address]:
                log.warning(
                    "the interface has several addresses; the first is served",
                    interface=interface.name,
                    served=str(interface.address),
                    not_served=", ".join(others),
                )


def _is_as_served(interface: Interface) -> bool:
    """Whether the interface is certainly unchanged; False means that it may have changed. This takes microseconds;
    looking at all interfaces takes milliseconds, and every PC would wait."""
    try:
        return interface_address(interface.name) == interface
    except (LookupError, OSError):
        return False


def _trouble(interface: Interface, found: Sequence[Link]) -> str:
    link = next((link for link in found if link.name == interface.name), None)
    if link is None:
        return f"the interface {interface.name} is gone"
    if link.index != interface.index:
        return f"the interface {interface.name} was deleted and recreated"
    if interface.address not in (each.address for each in link.addresses):
        return f"the interface {interface.name} has lost its address {interface.address}"
    return ""
