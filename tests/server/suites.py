"""Which Debian the servers of a test or of a file are: `pytestmark = ON_DEBIAN_13`. Without a mark it is Debian 12."""

import pytest

from tests.server.rootfs import DISTRIBUTIONS

ON_DEBIAN_13 = pytest.mark.parametrize("distribution", ["trixie"], indirect=True, scope="session")
ON_BOTH = pytest.mark.parametrize("distribution", DISTRIBUTIONS, indirect=True, scope="session")
