"""Repositories that an administrator adds: files of apt sources with the keys that sign them. PURE.

Reads deb822 stanzas and one-line entries (sources.list(5)), strictly: what is not understood is an error, because it
might be what keeps a stranger's packages out. What apt gets is written anew, and each repository is trusted for the key
beside it alone. Knows nothing of passwords for repositories.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from image.mirrors import fields, one_line
from image.openpgp import KeyFileError, public_keys

PLACEHOLDER = "@DISTRIBUTION@"
"""In a file of sources, live-build's name for the image's own distribution."""
FILES = "netboot-"
"""How the names of all files begin that apt gets of these."""
KEYRINGS = "/etc/apt/keyrings"

_FIELDS = {"types", "uris", "suites", "components", "architectures", "signed-by", "enabled", "description"}
_FIELDS |= {"x-repolib-name"}
_UNSIGNED = {"trusted", "allow-insecure", "allow-weak", "allow-downgrade-to-insecure"}
_URI = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/+%-]*)?")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+~-]*|\./?|/")
_ARMORED = "BEGIN PGP "
_OFF = ("no", "false", "0")


class RepositoryError(Exception):
    """A file cannot be used. `line` is its number, or 0; `hint` says what to do."""

    def __init__(self, line: int, message: str, hint: str) -> None:
        super().__init__(message)
        self.line = line
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Repository:
    """One archive. `suites` may have PLACEHOLDER in them; `components` is empty if the suites are paths that end with
    `/`. `keys` are packets of OpenPGP."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    architectures: tuple[str, ...]
    keys: bytes

    @property
    def key_file(self) -> str:
        """The name of the file with its keys."""
        return f"{FILES}{hashlib.sha256(self.keys).hexdigest()[:16]}.gpg"


def parse(text: str, *, deb822: bool, keys: Mapping[str, bytes]) -> tuple[tuple[Repository, ...], frozenset[str]]:
    """Read a file of sources. `keys` are the contents of the key files that it may use by their names; under an empty
    name, of the one that is used where none is named. Returns the repositories that are not switched off, and the names
    of the keys that were used. Raises RepositoryError."""
    found, used = [], set()
    for line, stanza in fields(text) if deb822 else _lines(text):
        if stanza.get("enabled", "yes").lower() in _OFF or "deb" not in stanza.get("types", "").split():
            _check_fields(line, stanza)
            continue
        name, packets = _keys(line, stanza, keys)
        used.add(name)
        found.append(_repository(line, stanza, packets))
    return tuple(found), frozenset(used)


def apt_files(repositories: Sequence[Repository], distribution: str, keyrings: str = KEYRINGS) -> dict[str, bytes]:
    """Return the files that apt needs, by their names: one with the sources, and their keys, which apt finds in the
    directory `keyrings`. Empty if there are no repositories."""
    if not repositories:
        return {}
    stanzas = []
    for each in repositories:
        lines = {
            "Types": "deb",
            "URIs": " ".join(each.uris),
            "Suites": " ".join(each.suites).replace(PLACEHOLDER, distribution),
            "Components": " ".join(each.components),
            "Architectures": " ".join(each.architectures),
            "Signed-By": f"{keyrings}/{each.key_file}",
        }
        stanzas.append("".join(f"{name}: {value}\n" for name, value in lines.items() if value))
    return {f"{FILES}own.sources": "\n".join(stanzas).encode()} | {each.key_file: each.keys for each in repositories}


def _repository(line: int, stanza: Mapping[str, str], keys: bytes) -> Repository:
    uris, suites, components = (tuple(stanza.get(name, "").split()) for name in ("uris", "suites", "components"))
    for uri in uris:
        if not _URI.fullmatch(uri):
            hint = "write https://HOST/PATH; other kinds, and passwords in an address, are not supported"
            raise RepositoryError(line, f"{uri!r} is no address that an image can be built from", hint)
    for word in (*(suite.replace(PLACEHOLDER, "x") for suite in suites), *components):
        if not _WORD.fullmatch(word):
            raise RepositoryError(line, f"{word!r} is not the name of a suite or a component", "see man sources.list")
    exact = [suite for suite in suites if suite.endswith("/")]
    if not uris or not suites or bool(components) == bool(exact):
        hint = "write an address, a suite such as stable, and a component such as main; see man sources.list"
        raise RepositoryError(line, "this names no repository", hint)
    architectures = tuple(stanza.get("architectures", "").replace(",", " ").split())
    if architectures and "amd64" not in architectures:
        raise RepositoryError(line, f"it has packages for {' '.join(architectures)} only", "images are for amd64")
    return Repository(uris, suites, components, ("amd64",) if architectures else (), keys)


def _keys(line: int, stanza: Mapping[str, str], keys: Mapping[str, bytes]) -> tuple[str, bytes]:
    """The name of the key file that a stanza uses, and the keys in it."""
    _check_fields(line, stanza)
    named = stanza.get("signed-by", "").strip()
    if _ARMORED in named:
        # An empty line is written as a dot.
        text = "\n".join("" if part == "." else part for part in named.splitlines())
        return "", _read(line, "Signed-By", text.encode())
    name = named.rpartition("/")[2]
    if name not in keys:
        missing = f"the key {name} is not beside it" if name else "it has no key, and nobody could tell who made it"
        raise RepositoryError(line, missing, "put the public key of its makers there: NAME.asc or NAME.gpg")
    return name, _read(line, name or "its key", keys[name])


def _read(line: int, name: str, content: bytes) -> bytes:
    try:
        return public_keys(content)
    except KeyFileError as error:
        hint = "export the public key: gpg --export --armor KEY > NAME.asc; a private key belongs on no boot server"
        raise RepositoryError(line, f"{name} cannot be used: {error}", hint) from error


def _check_fields(line: int, stanza: Mapping[str, str]) -> None:
    for name in stanza:
        if name in _UNSIGNED:
            hint = "remove it: a repository must be signed, and its key stand beside it"
            raise RepositoryError(line, f"{name} would let anybody put packages into the image", hint)
        if name not in _FIELDS:
            raise RepositoryError(line, f"{name} is not supported", f"known are: {', '.join(sorted(_FIELDS))}")


def _lines(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """One-line entries as stanzas."""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].strip()
        if not words:
            continue
        if words.startswith("deb-src"):
            continue
        stanza = one_line(words)
        if stanza is None:
            hint = "write: deb https://HOST/PATH SUITE COMPONENT"
            raise RepositoryError(number, "this is no line of apt sources", hint)
        yield number, stanza
