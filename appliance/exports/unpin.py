"""Removes our pinned neighbours: netboot-appliance-pins.service runs `python -m appliance.exports.unpin` at a stop.

The wall before the NFS ports stays, as the exports do.
"""

import sys

from appliance.exports.wall import unpin
from services.nfs.backend import NfsError


def main() -> None:
    """Run once."""
    try:
        unpin()
    except NfsError as error:
        print(f"error: {error.message}\nhint: {error.hint}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
