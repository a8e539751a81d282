"""What PCs are told by [live]: words for the kernel command line, and archives that are laid over their root.

The archives are for the initramfs. It has the token of the kernel command line, which opens them until the live system
has exchanged it.
"""

from appliance.allowlist import Allowlist
from appliance.boot import policy
from appliance.config.file import Config
from appliance.config.live import LiveChoices
from appliance.errors import UserError
from appliance.journal.recorder import Journal
from appliance.live import choice, host_keys
from appliance.live.choice import LiveWords
from appliance.live.host_name import host_name
from appliance.live.overlays import LiveArchive, Overlays, archive_of
from appliance.live.settings_files import settings_files
from appliance.registry.database import Registry
from appliance.registry.sql_errors import SqlError
from services import host_names
from services.decision import Ignore, Reason
from services.ethernet import MacAddress
from services.linux.open_beneath import OpenFile
from services.ssh.host_key import HostKey, host_key


class LiveFiles:
    """Configuration and allowlist are arguments, since both are replaced as a whole."""

    def __init__(self, journal: Journal, registry: Registry) -> None:
        self.overlays = Overlays()
        self._journal = journal
        self._registry = registry
        self._secret = ""

    def words(self, config: Config, allowlist: Allowlist, mac: MacAddress) -> LiveWords:
        """What the command line of this PC says."""
        chosen = choice.choices(config, mac, allowlist.decide(mac))
        try:
            name = host_name(config, allowlist, mac, self._journal.known, self._registry.clients_of)
        except (SqlError, UserError):
            # Nobody knows whether another PC has the short one.
            name = host_names.render(host_names.STANDARD, mac, "")
        fetch = bool(settings_files(chosen, _no_key) or self._overlays(chosen))
        return LiveWords(name, choice.zone(config, chosen), choice.boinc_proxy(config, chosen), fetch)

    def listing(self, config: Config, allowlist: Allowlist, mac: MacAddress, token: str) -> str | Ignore:
        """The archives of this PC in the order in which they are laid over its root: a line each, with its SHA-256 and
        its size in bytes."""
        archives = self._archives(config, allowlist, mac, token)
        if isinstance(archives, Ignore):
            return archives
        return "".join(f"{each.digest} {each.file.size}\n" for each in archives)

    def archive(
        self, config: Config, allowlist: Allowlist, mac: MacAddress, token: str, digest: str
    ) -> OpenFile | Ignore:
        """The archive with this SHA-256, if it is one of this PC's."""
        archives = self._archives(config, allowlist, mac, token)
        if isinstance(archives, Ignore):
            return archives
        found = next((each for each in archives if each.digest == digest), None)
        return Ignore(Reason.NO_FILE) if found is None else found.file.open()

    def _archives(
        self, config: Config, allowlist: Allowlist, mac: MacAddress, token: str
    ) -> list[LiveArchive] | Ignore:
        decision = policy.secrets(self._journal.boot(mac), token)
        if isinstance(decision, Ignore):
            return decision
        chosen = choice.choices(config, mac, allowlist.decide(mac))
        files = settings_files(chosen, lambda: self._host_key(mac))
        settings = [archive_of(files)] if files else []
        return [*self._overlays(chosen), *settings]

    def _overlays(self, chosen: LiveChoices) -> list[LiveArchive]:
        packed = self.overlays.packed
        return [packed[name] for name in choice.overlays(chosen) if name in packed]

    def _host_key(self, mac: MacAddress) -> HostKey:
        self._secret = self._secret or host_keys.secret(self._registry)
        return host_key(self._secret, mac)


def _no_key() -> HostKey:
    return HostKey("", "")
