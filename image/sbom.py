"""The bill of materials of a release, as SPDX 2.3 in JSON. PURE.

The specification: spdx.github.io/spdx-spec/v2.3. It names each Debian package with its version and its package URL, and
each file of the release with its SHA-256. Licences are not asserted: Debian's are in /usr/share/doc of the packages.
"""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from image.recipe import ImageRecipe

_UNSAID = "NOASSERTION"
_DOCUMENT, _IMAGE = "SPDXRef-DOCUMENT", "SPDXRef-Image"
_NOT_OF_AN_ID = re.compile(r"[^A-Za-z0-9.-]")
_CREATOR = "Tool: netboot-appliance"


def document(
    ident: str,
    created: datetime,
    recipe: ImageRecipe,
    packages: Mapping[str, str],
    files: Mapping[str, str],
) -> dict[str, Any]:
    """The document of the release `ident`. `packages` has versions by name, `files` SHA-256 in hex by name.

    It depends on nothing else, so it is the same each time; the namespace is of this content.
    """
    parts = [
        *(_file(number, name, sha256) for number, (name, sha256) in enumerate(sorted(files.items()))),
        *(_package(name, version, recipe) for name, version in sorted(packages.items())),
    ]
    content = repr((ident, sorted(packages.items()), sorted(files.items())))
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": _DOCUMENT,
        "name": f"netboot-appliance live system {ident}",
        "documentNamespace": uuid.uuid5(uuid.NAMESPACE_OID, content).urn,
        "creationInfo": {"created": f"{created.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", "creators": [_CREATOR]},
        "packages": [
            {
                "SPDXID": _IMAGE,
                "name": "live-system",
                "versionInfo": ident,
                "downloadLocation": _UNSAID,
                "filesAnalyzed": False,
                "primaryPackagePurpose": "OPERATING_SYSTEM",
                "summary": f"Debian {recipe.distribution} for {recipe.architecture}, kernel flavour {recipe.kernel}",
            },
            *parts,
        ],
        "relationships": [
            _relationship(_DOCUMENT, "DESCRIBES", _IMAGE),
            *(_relationship(_IMAGE, "CONTAINS", part["SPDXID"]) for part in parts),
        ],
    }


def package_url(name: str, version: str, recipe: ImageRecipe) -> str:
    """A Debian package as a package URL (purl, type deb). The list of packages names the architecture only of those
    that can be installed for several."""
    bare, _, architecture = name.partition(":")
    qualifiers = f"arch={quote(architecture, safe='')}&" if architecture else ""
    whole = f"pkg:deb/debian/{quote(bare, safe='')}@{quote(version, safe=':')}"
    return f"{whole}?{qualifiers}distro={quote(recipe.distribution, safe='')}"


def _package(name: str, version: str, recipe: ImageRecipe) -> dict[str, Any]:
    return {
        "SPDXID": f"SPDXRef-Package-{_NOT_OF_AN_ID.sub(lambda found: f'-{ord(found[0]):x}-', name)}",
        "name": name.partition(":")[0],
        "versionInfo": version,
        "downloadLocation": _UNSAID,
        "filesAnalyzed": False,
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": package_url(name, version, recipe),
            }
        ],
    }


def _file(number: int, name: str, sha256: str) -> dict[str, Any]:
    return {
        "SPDXID": f"SPDXRef-File-{number}",
        "name": name,
        "packageFileName": name,
        "downloadLocation": _UNSAID,
        "filesAnalyzed": False,
        "primaryPackagePurpose": "FILE",
        "checksums": [{"algorithm": "SHA256", "checksumValue": sha256}],
    }


def _relationship(one: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other}
