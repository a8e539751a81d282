"""The encoding of DHCP options: code, length, value (RFC 2132, section 2). PURE.

A message's options use this encoding. So do the contents of options 43 and 175, and the `file` and `sname` fields
where option 52 says so. The caller knows which fields to read and what the values mean.
"""

from collections.abc import Container

PAD, END = 0, 255
"""The two codes without a length: filling, and the end of the options."""

EVERY = frozenset(range(256))


def read_options(
    data: bytes, start: int = 0, wanted: Container[int] = EVERY, found: dict[int, bytes] | None = None
) -> dict[int, bytes]:
    """Return the values by code, of the `wanted` codes only; never raises.

    Reads from byte `start` of `data` to the end mark, or to the first option that is cut short. An option that was
    sent in several pieces is joined (RFC 3396). Its pieces may stand in different fields (section 5): where options
    continue in another field, pass as `found` what the fields before it held, and values are added to that.
    """
    if found is None:
        found = {}
    at, last = start, len(data) - 1
    while at < last:
        code = data[at]
        if code == PAD:
            at += 1
            continue
        end = at + 2 + data[at + 1]
        if code == END or end > last + 1:
            break
        if code in wanted:
            value = data[at + 2 : end]
            found[code] = found[code] + value if code in found else value
        at = end
    return found
