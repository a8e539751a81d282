"""`completion.py bash|zsh|fish` prints the completion file for verbs and options in that shell.

The script is typer's own and asks the program at every Tab. Installs nothing.
"""

import sys

from typer._completion_shared import get_completion_script

NAME = "netboot-appliance"


def script(shell: str) -> str:
    """The completion file for a shell. Raises typer.Exit for a shell that typer does not know."""
    text = get_completion_script(prog_name=NAME, complete_var="_NETBOOT_APPLIANCE_COMPLETE", shell=shell)
    if shell == "zsh":
        # zsh loads the file at the first Tab and expects it to complete right away, not only to define how.
        text += '\n\n[[ $funcstack[1] = _netboot-appliance ]] && _netboot_appliance_completion "$@"'
    return text + "\n"


if __name__ == "__main__":
    print(script(sys.argv[1]), end="")
