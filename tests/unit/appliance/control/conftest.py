"""Boxes with PCs, one to look at and one to change; and a site for each test of the page's door."""

from pathlib import Path

import pytest

from tests.unit.appliance.control.box_of_pcs import BoxOfPcs
from tests.unit.appliance.control.pages import Site


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> BoxOfPcs:
    """For tests that change nothing."""
    return BoxOfPcs(tmp_path_factory.mktemp("box"))


@pytest.fixture
def own(tmp_path: Path) -> BoxOfPcs:
    """For one test."""
    return BoxOfPcs(tmp_path, 8)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)
