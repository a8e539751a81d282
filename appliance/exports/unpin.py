"""Removes our pinned neighbours: netboot-appliance-pins.service runs `python -m appliance.exports.unpin` at a stop.

The wall before the NFS ports stays, as the exports do.
"""

from appliance import last_resort
from appliance.errors import UserError
from appliance.exports.wall import unpin
from services.nfs.backend import NfsError


def _unpin() -> int:
    try:
        unpin()
    except NfsError as error:
        raise UserError(error.message, error.hint, code=1) from error
    return 0


if __name__ == "__main__":
    last_resort.run(_unpin)
