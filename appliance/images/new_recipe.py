"""The directory of a new image, with comments that say what may be in it. Once written, it is the administrator's."""

import contextlib
import shutil
import tempfile
from pathlib import Path

from appliance.config import images
from appliance.config.file import Config
from appliance.errors import UserError
from appliance.images.recipe import FILE
from image.recipe import DISTRIBUTIONS, FIRMWARE, KERNELS

_RECIPE = f"""\
# The image "{{name}}": what is set here counts for it in place of [image] in {{config}}.
# Try it: netboot-appliance image recipe check{{argument}}
#
# Beside this file are:
#   packages       Debian packages, one or more a line
#   files/         files as they are: files/etc/motd becomes /etc/motd
#   hooks/         scripts NAME.chroot that run in the live system, in the order of their names
#   repositories/  apt sources of others, NAME.sources or NAME.list, each with its makers' public key, NAME.asc
#   preseed/       NAME.cfg: answers to the questions of packages (man debconf-set-selections)
# Every PC can read what is in an image: put no password and no private key there.

[image]
# distribution = "{DISTRIBUTIONS[0]}"                # or: {", ".join(DISTRIBUTIONS[1:])}
# kernel = "{KERNELS[0]}"                       # or: {", ".join(KERNELS[1:])}
# backports = false                      # true: the newer kernel of the distribution's backports
# firmware = "{FIRMWARE[0]}"                   # or: {", ".join(FIRMWARE[1:])}
# packages = []                          # in place of [image] packages; for more than these, the file `packages`
# locale = ""                            # "de_DE.UTF-8": made by Debian's package locales
# keyboard = ""                          # "de", "ch fr": of the console, by Debian's package console-setup
"""
_PACKAGES = """\
# Debian packages for this image, one or more a line.
"""


def write(config: Config, name: str) -> Path:
    """Make the directory of an image, in one step; returns it. Raises UserError, also when it is there already."""
    made = images.directory(config, images.new_name(name))
    text = _RECIPE.format(name=name, config=config.path, argument="" if name == "boinc" else f" {name}")
    try:
        if made.exists() or made.is_symlink():
            raise UserError(f"{made} exists already; nothing was changed", "edit it, or take another name")
        made.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=made.parent))
        try:
            for each in ("files", "hooks", "repositories", "preseed"):
                (unfinished / each).mkdir(mode=0o755)
            for each, content in ((FILE, text), ("packages", _PACKAGES)):
                (unfinished / each).write_text(content)
            unfinished.chmod(0o755)
            unfinished.rename(made)
        finally:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(unfinished)
    except OSError as error:
        raise UserError(f"cannot make {made}: {error.strerror}", "run with sudo") from None
    return made
