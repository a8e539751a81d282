"""Ask the running server to reload its configuration (SIGHUP), and wait for the result. Blocks for up to 30 s."""

import os
import signal
import time
from pathlib import Path

from appliance.config.file import Config
from appliance.errors import UserError
from appliance.registry import reload_result
from appliance.registry.database import Registry
from appliance.registry.reload_result import ReloadResult
from appliance.registry.server_lock import holder

_WAIT_SECONDS = 30.0
_LOOK_SECONDS = 0.05


def request_reload(config: Config) -> ReloadResult:
    """Ask for a reload, and return the result that the server wrote into the registry. Raises UserError when no server
    answers; its code is 3 when none is running."""
    pid = holder(config.registry)
    if pid is None:
        raise UserError(
            "the server is not running",
            "start it: systemctl start netboot-appliance; if you have changed [server] data, restart it",
            code=3,
        )
    begun = time.monotonic()
    try:
        os.kill(pid, signal.SIGHUP)
    except PermissionError:
        raise UserError(
            f"cannot signal the server (process {pid}): it belongs to another user", "run with sudo", 1
        ) from None
    except ProcessLookupError:
        raise _stopped() from None
    return _result(config.registry, pid, begun)


def _result(path: Path, pid: int, begun: float) -> ReloadResult:
    """The result of a reload that began after this one was asked for."""
    with Registry(path) as registry:
        while time.monotonic() < begun + _WAIT_SECONDS:
            found = reload_result.read(registry)
            if found and found.begun >= begun:
                return found
            if holder(path) != pid:
                raise _stopped()
            time.sleep(_LOOK_SECONDS)
    raise UserError(
        f"the server (process {pid}) has not reported the result of the reload within {_WAIT_SECONDS:.0f} s",
        "see its log: journalctl -u netboot-appliance",
        code=1,
    )


def _stopped() -> UserError:
    return UserError("the server has just stopped", "find out why: systemctl status netboot-appliance", code=3)
