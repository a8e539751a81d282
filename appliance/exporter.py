"""The running server's task that keeps the NFS exports in step with who is allowed and where they are."""

import asyncio
import contextlib

import structlog

from appliance import exports
from appliance.box import Box
from appliance.errors import UserError
from appliance.journal import Journal
from appliance.registry import Registry

_RETRY_SECONDS = 5.0

log = structlog.get_logger("exports")


async def keep_exports(box: Box, registry: Registry, journal: Journal, moved: asyncio.Event) -> None:
    """Bring the exports into force whenever `moved` is set; runs until it is cancelled."""
    complaint = ""
    while True:
        await moved.wait()
        moved.clear()
        try:
            backend, why = await asyncio.to_thread(exports.chosen, box.config)
            boots = {boot.mac: boot for boot in journal.boots()}
            want = exports.wanted(box.config, box.networks, box.allowlist, registry.clients(), boots)
            changed = await asyncio.to_thread(exports.install, box.config, backend, want)
            registry.set_server("exports", {"backend": backend.value, "why": why, "error": ""})
            if changed:
                log.info("exports in force", backend=backend.value, directories=sum(bool(e.clients) for e in want))
            complaint = ""
        except Exception as error:
            message = error.message if isinstance(error, UserError) else repr(error)
            if message != complaint:
                hint = error.hint if isinstance(error, UserError) else ""
                log.error("the exports are not in force; trying again", error=message, hint=hint)
                with contextlib.suppress(Exception):
                    registry.set_server("exports", {"backend": "", "why": hint, "error": message})
            complaint = message
            await asyncio.sleep(_RETRY_SECONDS)
            moved.set()
