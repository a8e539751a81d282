"""Which packages of a live system have a newer version in Debian's archive, by what apt says of them. PURE.

apt's policy is read, not a simulated upgrade: that would leave out a package whose new version needs another one. The
archive's indices do not have the numbers of security advisories (DSA). So an update counts as one of security if a
version that is newer than the one in the live system comes from the security suite (`trixie-security`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_PACKAGE = re.compile(r"(\S+):")
_CANDIDATE = re.compile(r"  Candidate: (\S+)")
_VERSION = re.compile(r" (?: |\*\*\*) ?\s*(\S+) -?\d+")
_SOURCE = re.compile(r"\s+-?\d+ (\S+) (\S+) \S+ Packages")
_NONE = "(none)"


@dataclass(frozen=True, slots=True)
class PackageUpdate:
    """A package with a newer version in the archive. `security`: the security suite has or had one."""

    name: str
    installed: str
    candidate: str
    security: bool


def parse(policy: str, packages: Mapping[str, str], architecture: str) -> tuple[PackageUpdate, ...]:
    """Read the output of `apt-cache policy`; updates of security first, then by name. `packages` has the versions in
    the live system by name, `libc6:amd64` or `bash`."""
    installed = {name.removesuffix(f":{architecture}"): (name, version) for name, version in packages.items()}
    found = []
    for name, lines in _stanzas(policy):
        if name in installed and (update := _update(*installed[name], lines)):
            found.append(update)
    return tuple(sorted(found, key=lambda each: (not each.security, each.name)))


def status(packages: Mapping[str, str], architecture: str) -> str:
    """The text of a dpkg status file in which just these packages are installed."""
    return "".join(
        f"Package: {name.partition(':')[0]}\nStatus: install ok installed\n"
        f"Architecture: {name.partition(':')[2] or architecture}\nMaintainer: none\nVersion: {version}\n"
        "Description: none\n\n"
        for name, version in packages.items()
    )


def _stanzas(policy: str) -> Iterator[tuple[str, list[str]]]:
    name, lines = "", list[str]()
    for line in policy.splitlines():
        if found := _PACKAGE.fullmatch(line):
            if name:
                yield name, lines
            name, lines = found[1], []
        else:
            lines.append(line)
    if name:
        yield name, lines


def _update(name: str, installed: str, lines: Sequence[str]) -> PackageUpdate | None:
    candidate = next((found[1] for line in lines if (found := _CANDIDATE.fullmatch(line))), _NONE)
    if candidate in (_NONE, installed):
        return None
    security = False
    # The table begins with the newest version, and has where each one comes from below it.
    for line in lines:
        if (version := _VERSION.match(line)) and version[1] == installed:
            break
        if (source := _SOURCE.match(line)) and source[2].partition("/")[0].endswith("-security"):
            security = True
    return PackageUpdate(name, installed, candidate, security)
