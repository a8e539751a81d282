"""What a failure means that the live system itself reported, in its own words (image/tree/). PURE.

The words come from a PC, so they are only compared, never taken for the box's own. A cause that is not known here is
shown as it was reported.
"""

import re

from appliance.diagnosis.fault import READ_ONLY, SERVER_FULL, STATE_FULL, Diagnosis, Seen

_EXPORTS = (
    "sudo netboot-appliance exports apply; netboot-appliance doctor asks the NFS server as a PC does (check nfs-mount)"
)

_MEANINGS = (
    (
        r"did not come up in \d+ boots",
        "its live system did not come up in several boots in a row, so it was sent to its own disk",
        "look at its screen at its next power-on, which tries the live system again; until it is repaired:"
        " netboot-appliance allow add MAC --default local",
    ),
    (
        r"usable memory",
        "too little memory for an HTTP root",
        "let it mount its root instead: netboot-appliance allow add MAC --root nfs; or more memory",
    ),
    (
        r"live system.*could not be fetched",
        "the live system could not be fetched",
        "check its cable and its switch port, and the box: netboot-appliance doctor; or let it mount its root:"
        " netboot-appliance allow add MAC --root nfs",
    ),
    (
        r"network card|no card has|no driver|no firmware",
        "no driver or no firmware for its network card",
        '[image] backports = true (a newer kernel) or firmware = "all", then netboot-appliance image build',
    ),
    (r"state director.*(no space|quota|full)", "its state directory is full", STATE_FULL),
    (
        r"state director.*read.only",
        "its state directory is read-only",
        READ_ONLY,
    ),
    (r"state director", "its state directory is refused by NFS", _EXPORTS),
    (
        r"BOINC files",
        "it does not get its BOINC files",
        "restart the PC: a boot that began without a power-on gets none; then look at what was refused:"
        " netboot-appliance status",
    ),
    (r"no live system|root|nfs", "root refused by NFS", _EXPORTS),
)
_KNOWN = tuple((re.compile(pattern, re.IGNORECASE), cause, cure) for pattern, cause, cure in _MEANINGS)


def of_failure(words: str, seen: Seen) -> Diagnosis:
    """What to do about a failure that was reported with these words."""
    for pattern, cause, cure in _KNOWN:
        if pattern.search(words):
            if seen.box.disk and "directory" in cause:
                return Diagnosis(f"{cause}: {seen.box.disk}", SERVER_FULL, words)
            if seen.box.exports and "NFS" in cause:
                return Diagnosis(f"{cause}: the exports are not in force: {seen.box.exports}", cure, words)
            return Diagnosis(cause, cure, words)
    return Diagnosis("its live system reports a failure", "look at its screen, and restart the PC", words)
