"""The files that an iPXE script loads, for who plays iPXE. PURE. Knows plain `kernel` and `initrd` lines, no logic."""

from urllib.parse import urljoin


def files(text: str, url: str) -> tuple[str, ...]:
    """The absolute URLs of the kernel and the ramdisks of a script that came from `url`, in their order."""
    found = []
    for line in text.splitlines():
        words = line.split("||")[0].split()
        if words[:1] not in (["kernel"], ["initrd"]):
            continue
        rest = iter(words[1:])
        for word in rest:
            if word in ("--name", "-n", "--timeout", "-t"):
                next(rest, None)
            elif not word.startswith("-"):
                found.append(urljoin(url, word))
                break
    return tuple(found)
