"""What `image verify`, `key`, `pull` and `push` show of releases, signatures and keys, and their --json. PURE."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VerifiedView:
    """A release that was read byte by byte. `problems`: what is not as it was built, in words. `signature`: "good",
    "missing" or "foreign" (made by no key that is trusted here, or the manifest was changed since). `key`: the id of
    the key that made it, or empty. `usable`: whether it can be activated."""

    id: str
    problems: tuple[str, ...]
    signature: str
    key: str
    usable: bool


@dataclass(frozen=True, slots=True)
class KeyView:
    """A key that is trusted. `own`: this box signs with it. `pem`: the public key, as files have it."""

    id: str
    own: bool
    pem: str


@dataclass(frozen=True, slots=True)
class PulledView:
    """A release that was pulled; bytes: of all its files, `fetched` now, `resumed` from an earlier call, and `linked`
    from releases that were here. `key`: the id of the key that has signed it. `new`: whether it was not here before."""

    id: str
    size: int
    fetched: int
    resumed: int
    linked: int
    key: str
    new: bool


@dataclass(frozen=True, slots=True)
class PushedView:
    """A release that was laid out; bytes. `new`: whether it was not there before. `offered`: how many are there."""

    id: str
    size: int
    key: str
    new: bool
    offered: int
