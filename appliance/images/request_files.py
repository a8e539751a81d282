"""How the page asks root's helper for images (appliance/images/root_helper.py), if there is one.

netboot-appliance-image-request.path watches the page's file. Without systemd nobody does, and the page says so.
"""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from appliance.images.build_unit import SYSTEMD
from appliance.images.image_request import ImageRequest, ImageVerb, encode
from appliance.root_requests.answer import RootAnswer
from appliance.root_requests.desk import Desk, can_ask, desk

DESK = desk("image", "image-request")


def available(configuration: Path, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether root's helper can be asked: systemd runs this process, with the configuration of the helper."""
    return can_ask(configuration, environment) and SYSTEMD.is_dir()


def ask(verb: ImageVerb, release: str = "", at: Desk = DESK, image: str = "") -> RootAnswer:
    """Ask root's helper, and return its answer. Blocks for up to 15 s; raises UserError if there is none."""
    return at.ask(encode(ImageRequest(verb, release, secrets.token_hex(8), image)))
