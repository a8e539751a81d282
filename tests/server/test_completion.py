"""Completion of the checkout's program in real shells: each answers at its first Tab."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

from tests.room.room import CHECKOUT

CASES = {
    "al": "allow",
    "image ro": "rollback",
    "doctor probe 52:54:00:aa:bb:cc --arch uefi-h": "uefi-http",
    "status --js": "--json",
}
BASH = """\
source _netboot-appliance
[[ $(complete -p netboot-appliance) =~ -F\\ ([^ ]+) ]]
for typed in "$@"; do
    COMP_WORDS=(netboot-appliance $typed) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    ${BASH_REMATCH[1]} netboot-appliance
    echo "${COMPREPLY[@]}"
done
"""
FISH = """\
source _netboot-appliance
for typed in $argv
    complete --do-complete "netboot-appliance $typed" | cut -f 1
end
"""


def furnish(directory: Path, shell: str) -> None:
    """The shell's file, under the name by which zsh finds it."""
    script = [sys.executable, str(CHECKOUT / "packaging" / "completion.py"), shell]
    with (directory / "_netboot-appliance").open("wb") as file:
        subprocess.run(script, stdout=file, check=True)


def environment(home: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.defpath}"
    return {"PATH": path, "HOME": str(home), "TERM": "dumb", "LC_ALL": "C.UTF-8", "PS1": "> "}


def said(command: list[str], directory: Path) -> list[str]:
    """The lines that a shell prints for all cases."""
    done = subprocess.run(
        [*command, *CASES], cwd=directory, env=environment(directory), capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_bash_completes(tmp_path: Path) -> None:
    furnish(tmp_path, "bash")
    assert said(["bash", "--norc", "-c", BASH, "bash"], tmp_path) == list(CASES.values())


def test_fish_completes(tmp_path: Path) -> None:
    furnish(tmp_path, "fish")
    assert said(["fish", "--no-config", "-c", FISH], tmp_path) == list(CASES.values())


def test_zsh_completes_from_the_first_tab(tmp_path: Path) -> None:
    furnish(tmp_path, "zsh")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe("zsh", ["zsh", "-f", "-i"], environment(tmp_path))
    try:
        start = f"fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -D; print rea''dy\n"
        os.write(terminal, start.encode())
        assert "ready\r\n" in heard(terminal, "ready\r\n")
        for typed, expected in CASES.items():
            os.write(terminal, f"netboot-appliance {typed}\t".encode())
            assert f" {expected} " in heard(terminal, f" {expected} ")
            # Ctrl-U clears the line for the next case.
            os.write(terminal, b"\x15")
            heard(terminal, "", seconds=0.2)
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


def heard(terminal: int, awaited: str, seconds: float = 120) -> str:
    """What the terminal shows until `awaited` appears, or until the time is up."""
    text, deadline = "", time.monotonic() + seconds
    while (not awaited or awaited not in text) and (left := deadline - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            text += os.read(terminal, 65536).decode()
    return text
