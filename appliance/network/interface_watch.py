"""Whether the interfaces under the running server are still those on which it has opened its sockets.

A socket belongs to one interface and one address. An interface that was deleted and made anew under its old name is
another one to the kernel, and nothing ever reaches the server by it again. So the server then ends, and systemd starts
it again on what there is now. An interface that is merely gone is waited for.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from appliance.errors import UserError
from services.linux.interfaces import Interface, Link, interface_address, links

SETTLED = 3.0
"""Seconds that an interface has to be another one: whoever configures it takes addresses away and gives them back."""

_LOOK_EVERY = 1.0

log = structlog.get_logger("serve")


class InterfaceWatch:
    """The interfaces of one server. `trouble` says in words, a line each, what is wrong with them now."""

    def __init__(self, served: Sequence[Interface]) -> None:
        self._served = served
        self._other_since: dict[str, float] = {}
        self.trouble: tuple[str, ...] = ()

    def look(self, found: Sequence[Link], now: float) -> None:
        """Compare with the interfaces that there are at `now`, monotonic seconds. Raises UserError when one has been
        another one for SETTLED seconds."""
        trouble = {interface: _trouble(interface, found) for interface in self._served}
        self.trouble = tuple(words for words in trouble.values() if words)
        for interface, words in trouble.items():
            usable = any(link.name == interface.name and link.addresses for link in found)
            if not words or not usable:
                self._other_since.pop(interface.name, None)
            elif now - self._other_since.setdefault(interface.name, now) >= SETTLED:
                raise UserError(
                    f"{words}: the server has to be started again",
                    "systemd does that by itself; elsewhere: netboot-appliance serve",
                    code=1,
                )

    async def watch(self, changed: Callable[[tuple[str, ...]], None]) -> None:
        """Look once a second, until it is cancelled; `changed` is told when there is trouble, and when there is no
        more. Raises UserError like `look`."""
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
                log.exception("the interfaces cannot be looked at; trying again")
                continue
            if first and not self.trouble:
                self._say_unserved(found)
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
                log.exception("cannot write to the registry that the interfaces have changed")

    def _say_unserved(self, found: Sequence[Link]) -> None:
        """Log the addresses beside the first of an interface: PCs are sent to that one, and nobody listens on them."""
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
    """Whether it is as it was; False does not say that it is not. All that there is takes milliseconds to look at, for
    which every PC would wait, and this microseconds."""
    try:
        return interface_address(interface.name) == interface
    except (LookupError, OSError):
        return False


def _trouble(interface: Interface, found: Sequence[Link]) -> str:
    link = next((link for link in found if link.name == interface.name), None)
    if link is None:
        return f"the interface {interface.name} is gone"
    if link.index != interface.index:
        return f"the interface {interface.name} was deleted and made anew"
    if interface.address not in (each.address for each in link.addresses):
        return f"the interface {interface.name} has lost its address {interface.address}"
    return ""
