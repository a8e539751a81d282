"""The BOINC files of each PC: what they are now, which the PC has, and who may have them."""

import time

import structlog

from appliance.allowlist import Allowlist
from appliance.boot import boinc_files, policy
from appliance.boot.renewals import Renewals
from appliance.config.file import Config
from appliance.journal.recorder import Journal
from appliance.live import choice
from image.recipe import BOINC_GID, BOINC_UID
from services.boinc import files
from services.decision import Ignore, Reason
from services.ethernet import MacAddress

log = structlog.get_logger("box")


class ClientFiles:
    """Configuration and allowlist are arguments, since both are replaced as a whole."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._renewals = Renewals()
        self._tags: dict[MacAddress, tuple[Config, Allowlist, str, str]] = {}

    def open(self, config: Config, allowlist: Allowlist, mac: MacAddress, token: str) -> bytes | Ignore:
        """The files as a tar, for the boot that has this token. Once the PC runs it gets them again only if it said
        that it has others."""
        boot = self._journal.boot(mac)
        decision = policy.secrets(boot, token)
        if decision == Ignore(Reason.TOKEN_SPENT) and boot is not None:
            wanted = self.tag(config, allowlist, mac)
            decision = policy.renewal(boot, token, self._renewals.of(mac, boot.id), wanted)
            if not isinstance(decision, Ignore):
                if not self._renewals.take(mac, time.monotonic()):
                    return Ignore(Reason.TOO_MANY_REPORTS)
                log.info("a running PC fetches its BOINC files again", mac=str(mac))
        if isinstance(decision, Ignore):
            return decision
        rendered = self._render(config, allowlist, mac)
        return rendered if isinstance(rendered, Ignore) else files.archive(rendered, BOINC_UID, BOINC_GID)

    def tag(self, config: Config, allowlist: Allowlist, mac: MacAddress) -> str:
        """The tag of the files that this PC should have; "" if it should have none. Each heartbeat asks for it, so it
        is kept."""
        client = self._journal.client(mac)
        password = client.gui_rpc_password if client else ""
        match self._tags.get(mac):
            case (of, among, known, tag) if of is config and among is allowlist and known == password:
                return tag
        rendered = self._render(config, allowlist, mac)
        if isinstance(rendered, Ignore):
            self._tags.pop(mac, None)
            return ""
        tag = files.tag(rendered)
        self._tags[mac] = config, allowlist, password, tag
        return tag

    def placed(self, mac: MacAddress, tag: str) -> None:
        """The live system said, with the token of its boot, which files it has."""
        if (boot := self._journal.boot(mac)) is not None:
            self._renewals.placed(mac, boot.id, tag)

    def _render(self, config: Config, allowlist: Allowlist, mac: MacAddress) -> dict[str, bytes] | Ignore:
        client, allowed = self._journal.client(mac), allowlist.decide(mac)
        if client is None:
            return Ignore(Reason.NO_BOOT)
        if allowed is None:
            return Ignore(Reason.NOT_ALLOWED)
        proxy = choice.boinc_proxy(config, choice.choices(config, mac, allowed))
        return files.render(boinc_files.settings(config, mac, allowed, proxy), client.gui_rpc_password)
