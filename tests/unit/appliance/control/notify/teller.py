"""A process that delivers until it is killed: `python -m tests.unit.appliance.control.notify.teller CONFIG`.

Retries and leases are short, so that a test need not wait for minutes.
"""

import sys
import time
from pathlib import Path

from appliance.config.file import load
from appliance.control.notify import outbox, service
from appliance.control.notify.service import NoticeService

LEASE = 0.5
"""Seconds."""


def main() -> None:
    """Never returns."""
    outbox.LEASE = LEASE
    outbox.FIRST_RETRY = 0.2
    service.DELIVER_EVERY = 0.005
    service.LOOK_EVERY = 3600.0
    config = load(Path(sys.argv[1]))
    told = NoticeService(lambda: config, time.time)
    told.start()
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
