"""Finds the Debian archive that the build host uses, in the text of its apt sources. PURE.

Reads one-line entries and deb822 stanzas (sources.list(5)). Knows nothing about pinning or authentication.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s*(?P<components>.*)")
_OPTIONS = {"arch": "architectures"}
"""Names of options that a stanza spells otherwise."""
_PROXY = re.compile(r'^Acquire::http::Proxy "(?P<url>[^"]+)";$', re.MULTILINE)
_DEBIANS_KEYS = "debian-archive"


class MirrorError(Exception):
    """The sources name no archive from which the image could be built; `hint` says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Source:
    """One enabled binary archive: one address, one suite. `keyring` is empty if apt's own keys sign it."""

    uri: str
    suite: str
    components: frozenset[str]
    keyring: str


@dataclass(frozen=True, slots=True)
class Mirrors:
    """Addresses of the archive and of its security updates; `updates` says whether the host uses SUITE-updates.

    `proxy` is the http proxy of the host's apt, or empty.
    """

    archive: str
    security: str
    updates: bool
    proxy: str = ""


def parse(text: str, *, deb822: bool) -> tuple[Source, ...]:
    """Read one file of apt sources; skips what it does not understand."""
    return tuple(_stanzas(text) if deb822 else _lines(text))


def choose(sources: Iterable[Source], distribution: str, host: str, proxy: str = "") -> Mirrors:
    """Return Debian's own archive among the sources; raises MirrorError if there is none.

    `host` is the suite of the host itself, such as `trixie`: an archive that has it also has `distribution`. Third
    parties publish a suite `bookworm` with a component `main`, too: entries signed with a key other than Debian's are
    theirs, and an archive that also has SUITE-updates is preferred.
    """
    ours = [source for source in sources if "main" in source.components and _usable(source)]
    suites = tuple(dict.fromkeys((distribution, host)))
    for suite in suites:
        updates = {source.uri for source in ours if source.suite == f"{suite}-updates"}
        archives = sorted((source.uri for source in ours if source.suite == suite), key=lambda uri: uri not in updates)
        security = [source.uri for source in ours if source.suite == f"{suite}-security"]
        if archives and security:
            return Mirrors(archives[0], security[0], archives[0] in updates, proxy)
    missing = f"{host}-security" if any(source.suite == host for source in ours) else host
    raise MirrorError(
        f"the apt sources of this machine have no entry for {missing} main",
        f"add Debian's {missing} to /etc/apt/sources.list: the image comes from the mirror this machine uses",
    )


def of_snapshot(template: str, snapshot: str, proxy: str = "") -> Mirrors:
    """Return the archives of one moment, at an address that has {archive} for debian or debian-security, and {snapshot}
    for the moment."""
    archive, security = (
        template.replace("{archive}", name).replace("{snapshot}", snapshot).rstrip("/")
        for name in ("debian", "debian-security")
    )
    return Mirrors(archive, security, updates=True, proxy=proxy)


def parse_proxy(dump: str) -> str:
    """Return the HTTP proxy in the output of `apt-config dump`, or an empty string."""
    match = _PROXY.search(dump)
    return "" if match is None or match["url"].upper() == "DIRECT" else match["url"]


def _usable(source: Source) -> bool:
    return source.uri.startswith(("http://", "https://")) and (not source.keyring or _DEBIANS_KEYS in source.keyring)


def one_line(text: str) -> dict[str, str] | None:
    """The fields of a one-line entry for binary packages, as a stanza has them; None if this is none."""
    match = _ONE_LINE.fullmatch(text)
    if match is None:
        return None
    options = {
        _OPTIONS.get(name.lower(), name.lower()): value
        for name, _, value in (option.partition("=") for option in (match["options"] or "").split())
    }
    named = {"uris": match["uri"], "suites": match["suite"], "components": match["components"]}
    return options | named | {"types": "deb"}


def fields(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The fields of each stanza, with lower-case names, and the number of the line (from 1) that it begins with."""
    stanza: dict[str, str] = {}
    begun, name = 0, ""
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.startswith("#"):
            continue
        if not line.strip():
            if stanza:
                yield begun, stanza
            stanza, name = {}, ""
        elif line[:1].isspace():
            stanza[name] = f"{stanza.get(name, '')}\n{line.strip()}"
        else:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            begun = begun if stanza else number
            stanza[name] = value.strip()


def _lines(text: str) -> Iterator[Source]:
    for line in text.splitlines():
        if stanza := one_line(line.partition("#")[0].strip()):
            yield from _sources(stanza)


def _stanzas(text: str) -> Iterator[Source]:
    for _, stanza in fields(text):
        off = stanza.get("enabled", "yes").lower() in ("no", "false", "0")
        if "deb" in stanza.get("types", "").split() and not off:
            yield from _sources(stanza)


def _sources(stanza: dict[str, str]) -> Iterator[Source]:
    components = frozenset(stanza.get("components", "").split())
    for uri in stanza.get("uris", "").split():
        for suite in stanza.get("suites", "").split():
            yield Source(uri.rstrip("/"), suite, components, stanza.get("signed-by", ""))
