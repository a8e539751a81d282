"""The command line of a box that has nothing but its configuration, and of one with releases."""

import subprocess
from pathlib import Path

import pytest

from tests.unit.appliance.cli.box_with_releases import BoxWithReleases
from tests.unit.appliance.cli.program import ENVIRONMENT, Run, netboot_appliance


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = tmp_path / "c.toml"
    config.write_text(f'[server]\ninterfaces = ["lo"]\ndata = "{tmp_path}/data"\n')

    def call(
        *arguments: str, stdin: str = "", as_root: bool = False, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        variables = ENVIRONMENT | environment
        return netboot_appliance("--config", config, *arguments, stdin=stdin, environment=variables, as_root=as_root)

    return call


@pytest.fixture
def box(tmp_path: Path) -> BoxWithReleases:
    return BoxWithReleases(tmp_path)
