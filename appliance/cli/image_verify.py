"""`image verify` and `image sign`: whether releases are as they were built, and who says so."""

from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.arguments import JSON
from appliance.cli.image_choice import argument, chosen
from appliance.cli.output import say, show_json
from appliance.config.file import Config, load
from appliance.errors import UserError
from appliance.view.image_keys import VerifiedView
from image import activation, plain_files, release, signature
from image.activation import Seal
from image.release import ReleaseError


def verify(
    context: typer.Context,
    ident: Annotated[
        str | None, argument("A release from `image list`, `current` or `previous`. Default: the active one.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All releases.")] = False,
    as_json: Annotated[bool, JSON] = False,
) -> None:
    """Check that a release is as it was built, byte by byte, and that a trusted key has signed it.

    Exit code: 0 if it can be activated, 1 if it is damaged or its signature does not allow that.
    """
    config = load(context.obj)
    if every and ident:
        raise UserError("--all and a release exclude each other", "leave one of them out")
    try:
        listing = release.releases(config.images)
        idents = [each.id for each in listing.releases] if every else [chosen(config.images, ident).id]
        found = [_verified(config, each) for each in idents]
    except ReleaseError as error:
        raise UserError(str(error), error.hint, code=1) from None
    broken = listing.broken if every else ()
    if as_json:
        show_json(found if every else found[0])
    else:
        say(*(_words(each) for each in found))
        for each in found:
            for problem in each.problems:
                say(f"{each.id}: {problem}", err=True)
    for damaged in broken:
        say(f"{damaged}; {damaged.hint}", err=True)
    bad = len([each for each in found if not each.usable]) + len(broken)
    if bad:
        what = "releases" if bad > 1 else "release"
        raise UserError(
            f"{bad} {what} cannot be activated", "build or pull it again; which keys count: image key list", code=1
        )


def sign(
    context: typer.Context,
    ident: Annotated[str, argument("A release from `image list`, `current` or `previous`.", "ID")],
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="The private key (PEM). Default: the one of this box."),
    ] = None,
    made: Annotated[
        Path | None,
        typer.Option("--signature", metavar="FILE", help="A signature of its manifest.json that was made elsewhere."),
    ] = None,
) -> None:
    """Sign a release, in place of the signature that it has; its files must be as they were built.

    Where the private key is on another machine, sign manifest.json there and put the signature beside it with
    --signature: openssl pkeyutl -sign -rawin -inkey KEY -in manifest.json -out FILE.
    """
    config = load(context.obj)
    ring = config.key_ring
    if key and made:
        raise UserError("--key and --signature exclude each other", "leave one of them out")
    ident = chosen(config.images, ident).id
    try:
        if made:
            used = activation.attach(config.images, ident, ring, _signature(made))
        else:
            used = activation.sign(config.images, ident, ring, key)
        known = used in [each.id for each in signature.trusted(ring)]
    except ReleaseError as error:
        raise UserError(str(error), error.hint, code=1) from None
    say(f"signed: {ident}, by the key {used}")
    if not known:
        say("warning: this key is not trusted here: netboot-appliance image key trust FILE", err=True)


def _verified(config: Config, ident: str) -> VerifiedView:
    found = activation.check(config.images, ident, config.key_ring)
    allowed = found.seal is Seal.GOOD or (found.seal is Seal.MISSING and not config.key_ring.required)
    return VerifiedView(ident, found.problems, found.seal.name.lower(), found.key, allowed and not found.problems)


def _words(found: VerifiedView) -> str:
    files = "damaged" if found.problems else "all files are as they were built"
    by = f" by the key {found.key}" if found.key else ""
    return f"{found.id}: {files}; {Seal[found.signature.upper()].value}{by}"


def _signature(path: Path) -> bytes:
    try:
        return plain_files.read(path, signature.LENGTH)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"{error}: a signature has {signature.LENGTH} bytes"
        raise UserError(f"cannot read the signature {path}: {reason}", "nothing was changed", code=1) from None
