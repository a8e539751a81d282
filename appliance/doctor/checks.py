"""The doctor's checks, in order, run side by side: none can hang or stop the others. Prints nothing.

Each check is a function that looks and judges. If it fails itself, that becomes a finding.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from appliance.config.file import Config, load
from appliance.doctor import (
    addresses,
    boots,
    clock,
    firewall,
    firmware,
    image,
    interface,
    kernel,
    live,
    nfs,
    page,
    pool,
    ports,
    privileges,
    relays,
    segment,
    senders,
    settings,
    storage,
    wake,
    wall,
)
from appliance.doctor.finding import Finding, UnobservableError, error, unchecked
from appliance.errors import UserError
from appliance.network.interfaces import with_interfaces_named

SECONDS = 10.0
"""How long a check may take, unless it says otherwise."""

_SHA256_SECONDS = 180.0  # a gigabyte from a slow disk
_REGISTRY_SECONDS = 15.0  # SQLite itself waits 10 s for a lock


@dataclass(frozen=True)
class Check:
    """A check's name for people and scripts, the function, and the seconds it may take."""

    name: str
    run: Callable[[], Sequence[Finding]]
    seconds: float = SECONDS


def all_checks(config: Config) -> list[Check]:
    """Every check of the box that `config` describes, causes before their effects."""
    return [
        Check("privileges", partial(privileges.check, config)),
        Check("configuration", partial(settings.check_configuration, config)),
        Check("live", partial(live.check, config)),
        Check("project-server", partial(settings.check_project_server, config)),
        Check("interface", partial(interface.check, config)),
        Check("ports", partial(ports.check, config)),
        Check("firewall", partial(firewall.check, config)),
        Check("nfs", partial(nfs.check, config)),
        Check("nfs-wall", partial(wall.check, config), _REGISTRY_SECONDS),
        Check("image", partial(image.check_image, config), _SHA256_SECONDS),
        Check("boot-loaders", partial(image.check_boot_loaders, config)),
        Check("disk", partial(storage.check_disk, config)),
        Check("kept-work", partial(storage.check_kept_work, config)),
        Check("registry", partial(storage.check_registry, config), _REGISTRY_SECONDS),
        Check("allowlist", partial(settings.check_allowlist, config), _REGISTRY_SECONDS),
        Check("boots", partial(boots.check_boots, config), _REGISTRY_SECONDS),
        Check("computing", partial(boots.check_computing, config), _REGISTRY_SECONDS),
        Check("wake", partial(wake.check, config), _REGISTRY_SECONDS),
        Check("addresses", partial(addresses.check, config), _REGISTRY_SECONDS),
        Check("firmware", partial(firmware.check, config), _REGISTRY_SECONDS),
        Check("kernel", partial(kernel.check, config), _REGISTRY_SECONDS),
        Check("clock", partial(clock.check, config)),
        Check("dhcp-pool", partial(pool.check, config), _REGISTRY_SECONDS),
        Check("relays", partial(relays.check, config), _REGISTRY_SECONDS),
        Check("senders", partial(senders.check, config), _REGISTRY_SECONDS),
        Check("page", partial(page.check, config)),
        Check("dhcp", partial(segment.check, config), segment.SECONDS + SECONDS),
    ]


def examine(path: Path) -> Iterator[Finding]:
    """Run all checks of the box that the configuration file `path` describes. A wrong file is a finding as well."""
    try:
        config = load(path)
    except UserError as wrong:
        yield error("configuration", wrong.message, "nothing else can be checked without it", wrong.hint)
        return
    try:
        config = with_interfaces_named(config)
    except UserError as wrong:
        yield error("interface", wrong.message, "the server cannot start without it", wrong.hint)
    yield from run(all_checks(config))


def run(checks: Sequence[Check]) -> Iterator[Finding]:
    """Start all checks at once; yield their findings in the order of `checks`, each as soon as possible."""
    answers: list[queue.SimpleQueue[Sequence[Finding]]] = []
    for check in checks:
        answers.append(queue.SimpleQueue())
        # Daemon threads: one that hangs in the kernel must not keep the process alive.
        threading.Thread(target=lambda c=check, a=answers[-1]: a.put(_findings(c)), daemon=True).start()
    begun = time.monotonic()
    for check, answer in zip(checks, answers, strict=True):
        try:
            yield from answer.get(timeout=max(0.0, begun + check.seconds - time.monotonic()))
        except queue.Empty:
            yield unchecked(
                check.name, f"it took longer than {check.seconds:.0f} s", "find out why the machine is slow"
            )


def _findings(check: Check) -> Sequence[Finding]:
    try:
        return check.run()
    except UserError as failed:
        return [unchecked(check.name, failed.message, failed.hint)]
    except (UnobservableError, PermissionError) as failed:
        return [unchecked(check.name, str(failed))]
    except Exception as failed:
        return [
            unchecked(check.name, f"{type(failed).__name__}: {failed}", "please report this: it is a bug in the doctor")
        ]
