"""The bill of materials, held to SPDX 2.3 by hand: the fields that its JSON schema requires, and what they may hold.

The schema is spdx/spdx-spec, schemas/spdx-schema.json of the tag v2.3.
"""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from image.recipe import ImageRecipe
from image.sbom import document, package_url

CREATED = datetime(2026, 11, 23, 15, 1, 2, tzinfo=UTC)
PACKAGES = {"bash": "5.2.15-2+b13", "libc6:amd64": "2.36-9", "libc6:i386": "2.36-9", "libstdc++6:amd64": "12.2.0-14"}
FILES = {"vmlinuz": "ab" * 32, "live/filesystem.squashfs": "cd" * 32}


@pytest.fixture
def made() -> dict[str, Any]:
    return document("20261123-150102-1a2b3c4d", CREATED, ImageRecipe(), PACKAGES, FILES)


def test_the_document_has_what_the_schema_requires(made: dict[str, Any]) -> None:
    assert {"SPDXID", "creationInfo", "dataLicense", "name", "spdxVersion", "documentNamespace"} <= made.keys()
    assert (made["spdxVersion"], made["dataLicense"], made["SPDXID"]) == ("SPDX-2.3", "CC0-1.0", "SPDXRef-DOCUMENT")
    assert made["creationInfo"] == {"created": "2026-11-23T15:01:02Z", "creators": ["Tool: netboot-appliance"]}
    # A URI without a fragment; no host of anybody's.
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", made["documentNamespace"])


def test_each_package_has_what_the_schema_requires(made: dict[str, Any]) -> None:
    for package in made["packages"]:
        assert package.keys() <= {
            "SPDXID",
            "name",
            "versionInfo",
            "downloadLocation",
            "filesAnalyzed",
            "externalRefs",
            "checksums",
            "packageFileName",
            "primaryPackagePurpose",
            "summary",
        }
        assert re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", package["SPDXID"])
        assert package["name"]
        assert (package["downloadLocation"], package["filesAnalyzed"]) == ("NOASSERTION", False)
        assert package.get("primaryPackagePurpose", "FILE") in ("OPERATING_SYSTEM", "FILE")
        for reference in package.get("externalRefs", ()):
            assert reference.keys() == {"referenceCategory", "referenceType", "referenceLocator"}
            assert (reference["referenceCategory"], reference["referenceType"]) == ("PACKAGE-MANAGER", "purl")
        for checksum in package.get("checksums", ()):
            assert checksum["algorithm"] == "SHA256"
            assert checksum["checksumValue"] in FILES.values()


def test_each_thing_has_an_id_of_its_own_and_belongs_to_the_image(made: dict[str, Any]) -> None:
    idents = [each["SPDXID"] for each in made["packages"]]
    assert len(set(idents)) == len(idents) == 1 + len(PACKAGES) + len(FILES)
    first, *others = made["relationships"]
    assert first == {
        "spdxElementId": "SPDXRef-DOCUMENT",
        "relationshipType": "DESCRIBES",
        "relatedSpdxElement": "SPDXRef-Image",
    }
    assert {each["relationshipType"] for each in others} == {"CONTAINS"}
    assert [each["relatedSpdxElement"] for each in others] == idents[1:]


@pytest.mark.parametrize(
    ("name", "version", "url"),
    [
        ("bash", "5.2.15-2+b13", "pkg:deb/debian/bash@5.2.15-2%2Bb13?distro=trixie"),
        ("libattr1:amd64", "1:2.5.1-4", "pkg:deb/debian/libattr1@1:2.5.1-4?arch=amd64&distro=trixie"),
        ("libstdc++6:amd64", "12~rc1", "pkg:deb/debian/libstdc%2B%2B6@12~rc1?arch=amd64&distro=trixie"),
    ],
)
def test_package_urls(name: str, version: str, url: str) -> None:
    assert package_url(name, version, ImageRecipe()) == url


def test_other_content_is_another_document(made: dict[str, Any]) -> None:
    again = document("20261123-150102-1a2b3c4d", CREATED, ImageRecipe(), dict(reversed(PACKAGES.items())), FILES)
    assert again == made
    other = document("20261123-150102-1a2b3c4d", CREATED, ImageRecipe(), PACKAGES | {"apt": "1"}, FILES)
    assert other["documentNamespace"] != made["documentNamespace"]
