"""[wake]: how PCs are switched on over the network, and the SecureOn passwords of those that want one. PURE."""

from dataclasses import dataclass

from appliance.config import selection
from services.ethernet import MacAddress, MacRange
from services.wake_on_lan import read_password

MOST_PASSWORDS = 64
_BOUNDS = {"per_minute": (1, 6000, "PCs"), "retry_every": (10, 3600, "seconds"), "tries": (1, 100, "packets")}


@dataclass(frozen=True)
class WakePassword:
    """[[wake.passwords]]: the SecureOn password of some network cards (services/wake_on_lan.py), a secret."""

    for_: tuple[str, ...] = ()
    password: str = ""

    def __post_init__(self) -> None:
        if not self.for_:
            raise ValueError('for is missing: write for = ["52:54:00:*", "a label"]')
        selection.check(self.for_)
        try:
            read_password(self.password)
        except ValueError as error:
            raise ValueError(f"password: {error}") from None


@dataclass(frozen=True)
class WakeSettings:
    """[wake]. At most `per_minute` packets are sent in a minute, evenly, so that a room does not draw its inrush
    current at once. A PC that is not seen gets the next packet after `retry_every` seconds, and `tries` in all."""

    per_minute: int = 30
    retry_every: int = 60
    tries: int = 5
    passwords: tuple[WakePassword, ...] = ()

    def __post_init__(self) -> None:
        for key, (lowest, highest, unit) in _BOUNDS.items():
            if not lowest <= getattr(self, key) <= highest:
                raise ValueError(f"{key}: must be from {lowest} to {highest} {unit}")
        if len(self.passwords) > MOST_PASSWORDS:
            raise ValueError(f"passwords: at most {MOST_PASSWORDS}")

    @property
    def secret(self) -> bool:
        """Whether it holds anything that not everybody may read."""
        return bool(self.passwords)

    def password(self, mac: MacAddress, allowed: MacRange, label: str) -> bytes:
        """The SecureOn password of this PC, or none: that of the narrowest range which it is in. `allowed` and `label`
        are those of the allowlist's entry for it; a label stands for that entry's range."""
        sizes = ((selection.narrowest(each.for_, mac, allowed, label), each) for each in self.passwords)
        fitting = [(size, each) for size, each in sizes if size is not None]
        if not fitting:
            return b""
        return read_password(min(fitting, key=lambda found: found[0])[1].password)
