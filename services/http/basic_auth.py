"""The password of a request: HTTP basic authentication (RFC 7617). PURE. The user name is ignored."""

import base64
import binascii

CHALLENGE = 'Basic realm="netboot-appliance", charset="UTF-8"'


def password(header: str) -> str | None:
    """The password in an Authorization header; None if there is none, or it cannot be read."""
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        _, colon, found = base64.b64decode(credentials.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, ValueError):
        return None
    return found if colon else None
