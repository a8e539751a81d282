"""`netboot-appliance` as a process of its own, without the half second that it takes to start: a fork of this process.

Arguments, environment, standard streams and exit code are those of the real program.
"""

import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import IO

from appliance.cli.main import run
from tests.unit.ownership import become_root

Run = Callable[..., "CompletedProcess[str]"]
PROGRAM = Path(sys.executable).with_name("netboot-appliance")
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "COLUMNS": "80"}


def netboot_appliance(
    *arguments: object,
    stdin: str = "",
    environment: Mapping[str, str] = ENVIRONMENT,
    cwd: Path | None = None,
    as_root: bool = False,
) -> CompletedProcess[str]:
    """Run the program with exactly this `environment`. `as_root`: as root, whoever runs the tests."""
    words = ["netboot-appliance", *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as read, tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        read.write(stdin)
        read.flush()
        read.seek(0)
        child = os.fork()
        if child == 0:
            _become(words, environment, cwd, (read, out, err), as_root=as_root)
        _, status = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        return CompletedProcess(words, os.waitstatus_to_exitcode(status), out.read(), err.read())


def _become(
    words: list[str],
    environment: Mapping[str, str],
    cwd: Path | None,
    streams: tuple[IO[str], ...],
    *,
    as_root: bool,
) -> None:
    """Become the program; never returns."""
    code = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream.fileno(), number)
        sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
        os.environ.clear()
        os.environ.update(environment)
        if cwd is not None:
            os.chdir(cwd)
        if as_root:
            become_root()
        sys.argv = words
        try:
            run()
            code = 0
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def assert_refused(run: Run, arguments: tuple[str, ...], words: str) -> None:
    """Run a verb with bad input: one error with these words and exit code 2, nothing printed, nobody allowed."""
    done = run(*arguments)
    assert done.returncode == 2, done
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert run("allow", "export").stdout == ""
