"""Forgetting a PC that is off, for the page and the API: what is known of it, or its work as well."""

import asyncio
from dataclasses import dataclass

from appliance.control.context import Context
from appliance.errors import OvertakenError, UserError
from appliance.exports import work_desk
from appliance.heartbeats.farewell import Farewell, require_off, say_farewell
from appliance.registry.database import Registry
from services.ethernet import MacAddress


@dataclass(frozen=True, slots=True)
class ForgottenPc:
    """What is lost: so many `boots`. `later`: the running server does it, within a second. `work`: what became of its
    work, in words; "" if it was to stay. `trouble`: the PC is forgotten, but its work was not moved."""

    boots: int
    later: bool
    work: str = ""
    trouble: str = ""
    hint: str = ""


async def forget(box: Context, mac: MacAddress, *, work: bool) -> ForgottenPc:
    """Forget a PC; with its `work`, root is asked to set that aside, which takes seconds. Raises UserError: then
    nothing was changed."""
    if not work:
        said = await box.with_registry(lambda registry: _say(box, registry, mac))
        return ForgottenPc(said.boots, said.later)
    if not work_desk.available(box.path):
        by_root = f"sudo netboot-appliance clients forget {mac} --history --work"
        raise OvertakenError("this page cannot ask root here; nothing was changed", f"run: {by_root}")
    return await asyncio.to_thread(_forget_with_work, box, mac)


def _forget_with_work(box: Context, mac: MacAddress) -> ForgottenPc:
    box.in_registry(lambda registry: require_off(registry, mac, box.clock()))
    said: list[Farewell] = []
    try:
        # Root judges before the export ends: afterwards no packet tells whether the PC is on.
        done = work_desk.ask(mac, lambda: said.append(box.in_registry(lambda registry: _say(box, registry, mac))))
    except UserError as error:
        if not said:
            raise
        return ForgottenPc(said[0].boots, said[0].later, trouble=error.message, hint=error.hint)
    return ForgottenPc(said[0].boots, said[0].later, work=done)


def _say(box: Context, registry: Registry, mac: MacAddress) -> Farewell:
    return say_farewell(box.config, registry, mac, box.clock())
