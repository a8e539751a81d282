"""What is left to do after a restore: what a backup cannot bring to this machine."""

from collections.abc import Iterator

from appliance.backup.restore import Restored
from appliance.config import images
from appliance.errors import UserError
from appliance.network.interfaces import interfaces
from image.names import DEFAULT
from image.release import ReleaseError, current


def remaining(done: Restored) -> Iterator[str]:
    """One line for each thing to do."""
    try:
        interfaces(done.config)
    except UserError as error:
        yield f"{error.message} ({error.hint})"
    try:
        if current(done.config.images) is None:
            yield "no image is active, and backups contain none; build one: netboot-appliance image build"
    except ReleaseError as error:
        yield f"the active image is broken: {error} ({error.hint})"
    for image in done.image_names:
        if image != DEFAULT and (trouble := images.nothing_to_boot(done.config, image)):
            yield f"{trouble[0]}; {trouble[1]}"
    if done.clients and not done.boots_kept:
        yield "restart the PCs that were started after the backup was made: their exports are not in it"
    if done.renumbered:
        yield "the numbers of the exports have changed; with NFS-Ganesha: systemctl restart nfs-ganesha"
    if done.server:
        yield f"netboot-appliance serve is running (process {done.server}): systemctl stop netboot-appliance"
