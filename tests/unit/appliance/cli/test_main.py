"""The program as a whole: its help, and its output in a pipe."""

import subprocess
from pathlib import Path

from tests.unit.appliance.cli.program import PROGRAM, Run, netboot_appliance


def test_a_reader_that_leaves_early_is_no_error(run: Run, tmp_path: Path) -> None:
    run("allow", "import", "-", stdin="".join(f"52:54:00:00:{n >> 8:02x}:{n & 255:02x}\n" for n in range(20_000)))
    shell = f"set -o pipefail; {PROGRAM} --config {tmp_path}/c.toml allow export | head -n 1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("52:54:00:00:00:00\n", "")


def test_help_has_examples() -> None:
    verbs = ("allow add", "allow import", "image build", "clients show", "clients forget", "config init")
    for verb in map(str.split, verbs):
        assert "Example" in netboot_appliance(*verb, "--help").stdout, verb
