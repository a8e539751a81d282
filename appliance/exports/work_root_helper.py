"""Root's helper for forgotten work: sets the work of a PC aside when the page asks for it.

netboot-appliance-work-request.service runs `python -m appliance.exports.work_root_helper`. It deletes nothing, and
trusts nothing in the request: docs/adr/0031-forgotten-work-is-kept.md.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from appliance import last_resort
from appliance.config.file import Config, load, locate
from appliance.errors import NotFoundError, UserError
from appliance.exports import kept_work, mailbox, state, volumes
from appliance.exports.quietness import WorkUse, objection
from appliance.exports.volumes import Volume
from appliance.exports.work_desk import DESK, WITHDRAWN_WITHIN, decode
from appliance.root_requests.desk import Desk, refused
from services.ethernet import MacAddress

_UNMOUNTED_WITHIN = 10.0

log = logging.getLogger(__name__)


def serve_requests(configuration: Path, at: Desk = DESK) -> None:
    """Answer the request, and again if it has changed meanwhile. Raises UserError if the last one failed."""

    def carry_out(content: bytes, accepted: Callable[[], None]) -> str:
        try:
            mac = decode(content)
        except ValueError as error:
            raise refused(str(error)) from error
        try:
            return _set_aside(load(configuration), at, mac, accepted)
        except OSError as error:
            raise UserError(f"the work of {mac} cannot be moved: {error}", "check the disk", code=1) from error

    at.serve(carry_out)


def main() -> NoReturn:
    """Run once; an error goes to the journal as well as into the answer."""
    last_resort.run(_run_once)


def _run_once() -> int:
    serve_requests(locate(None))
    return 0


def _set_aside(config: Config, at: Desk, mac: MacAddress, accepted: Callable[[], None]) -> str:
    if problem := objection(mac, _look(config, at, mac, time.time()), len(kept_work.find(config))):
        raise problem
    accepted()
    state.await_withdrawal(config, mac, WITHDRAWN_WITHIN)
    _await_unmounted(config, mac)
    try:
        kept = kept_work.set_aside(config, mac, time.time())
    except NotFoundError:
        return "it had no work here"
    log.warning("the page had the work of %s set aside: %s", mac, ", ".join(map(str, kept.places)))
    return f"its work is kept until {time.strftime('%Y-%m-%d', time.localtime(kept.until))}"


def _look(config: Config, at: Desk, mac: MacAddress, now: float) -> WorkUse:
    """What there is to see of the use of this work. All of it was written by root or by the kernel."""
    addresses = state.exported_to(config, mac)
    looked, packet = _packets(mailbox.answer_file(at.server), addresses or frozenset(), now)
    volume = Volume(config, mac.bare)
    place = volume.directory
    if str(volume.directory) not in volumes.alone(config) and volume.image.exists():
        place = volume.image
    written = now - place.stat().st_mtime if place.exists() else None
    return WorkUse(addresses is not None, looked, packet, written)


def _packets(path: Path, addresses: frozenset[str], now: float) -> tuple[float | None, float | None]:
    answer = mailbox.read_answer(path)
    if answer is None or answer.error:
        return None, None
    looked = now - path.stat().st_mtime
    return looked, min((answer.heard[each] + looked for each in addresses if each in answer.heard), default=None)


def _await_unmounted(config: Config, mac: MacAddress) -> None:
    """Root's helper for exports unmounts it; this one could not."""
    until = time.monotonic() + _UNMOUNTED_WITHIN
    volume = Volume(config, mac.bare)
    while volume.image.exists() and str(volume.directory) in volumes.alone(config) and time.monotonic() < until:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
