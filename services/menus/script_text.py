"""The checks that all boot scripts share: no text breaks out of its line, and the kernel takes its whole command line.
PURE."""

import re

# x86 Linux keeps 2048 bytes with the final NUL, and so does PXELINUX 6. image/commandline.py has the same limit of its
# own: the two packages know nothing of each other.
LONGEST_COMMAND_LINE = 2047


def checked(script: str, pattern: re.Pattern[str], text: str) -> str:
    """Return `text`; raises ValueError, naming the kind of `script`, unless all of it matches `pattern`."""
    if not pattern.fullmatch(text):
        raise ValueError(f"{text!r} is not allowed in {script}")
    return text


def require_fit(command_line: str) -> None:
    """Raise ValueError if the kernel would cut this command line off. Pass the complete line, with what the loader adds
    to it."""
    if len(command_line) > LONGEST_COMMAND_LINE:
        raise ValueError(
            f"the kernel command line has {len(command_line)} characters; the limit is {LONGEST_COMMAND_LINE}"
        )
