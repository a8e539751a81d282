"""`image test`: a release boots in an emulated PC on this server, before real ones get it."""

import time
from typing import Annotated, Literal

import typer

from appliance.cli.arguments import JSON
from appliance.cli.image_choice import argument, chosen
from appliance.cli.output import say, show_json
from appliance.config.file import load
from appliance.errors import UserError
from appliance.images import emulated_boot
from appliance.view.image_checks import boot_test_view


def boot(
    context: typer.Context,
    ident: Annotated[
        str | None, argument("A release from `image list`, `current` or `previous`. Default: the active one.")
    ] = None,
    firmware: Annotated[
        Literal["uefi", "bios"] | None, typer.Option(help="Of the PC. [default: uefi if ovmf is installed]")
    ] = None,
    kvm: Annotated[bool, typer.Option("--kvm/--no-kvm", help="Use KVM if there is any.")] = True,
    minutes: Annotated[int, typer.Option(min=1, max=120, metavar="N", help="How long it may take.")] = round(
        emulated_boot.SECONDS / 60
    ),
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Boot a release in an emulated PC without a disk, in a network of its own, until its live system reports.

    The PC goes the whole way: DHCP, boot loader, boot script, kernel, live system; it loads its root by HTTP, and keeps
    no state directory, so NFS is not tried. No real network sees anything of it. Needs root and qemu-system-x86.

    Exit code: 0 if the live system came up, 1 if not, 3 if QEMU is not installed.
    """
    config = load(context.obj)
    release = chosen(config.images, ident)

    def heard(stage: str, seconds: float) -> None:
        say(f"{seconds:7.1f} s  {stage}", err=as_json)

    done, console = emulated_boot.boot(config, release, heard, firmware, kvm=kvm, seconds=60.0 * minutes)
    shown = boot_test_view(release.id, done, time.time())
    if as_json:
        show_json(shown)
    if not done.passed:
        for line in console:
            say(f"  | {line}", err=True)
        raise UserError(
            f"the test of {release.id} failed: {done.why}",
            f"no PC was told to boot it; the whole log: {done.log}",
            code=1,
        )
    if not as_json:
        say(f"{release.id}: {shown.words}")
