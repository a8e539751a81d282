"""What apt's policy says of updates. The texts are apt's own, with the host names of the mirrors taken out."""

import pytest

from image import updates
from image.updates import PackageUpdate

POLICY = """\
libc6:
  Installed: 2.41-1
  Candidate: 2.41-12+deb13u5
  Version table:
     2.41-12+deb13u5 500
        500 http://mirror/debian trixie/main amd64 Packages
 *** 2.41-1 100
        100 /tmp/x/status
openssl:
  Installed: 3.5.0-1
  Candidate: 3.5.9-1~deb13u1
  Version table:
     3.5.9-1~deb13u1 500
        500 http://mirror/debian trixie/main amd64 Packages
        500 http://mirror/debian-security trixie-security/main amd64 Packages
     3.5.1-1 500
        500 http://mirror/debian trixie/main amd64 Packages
 *** 3.5.0-1 100
        100 /tmp/x/status
bash:
  Installed: 5.2.37-2+b10
  Candidate: 5.2.37-2+b10
  Version table:
 *** 5.2.37-2+b10 500
        500 http://mirror/debian trixie/main amd64 Packages
        100 /tmp/x/status
curl:
  Installed: 8.14.1-3
  Candidate: 8.14.1-4
  Version table:
     8.14.1-4 500
        500 http://mirror/debian trixie/main amd64 Packages
 *** 8.14.1-3 100
        100 /tmp/x/status
     8.14.1-2+deb13u7 500
        500 http://mirror/debian-security trixie-security/main amd64 Packages
linux-image-6.12.0-amd64:
  Installed: 6.12.0-1
  Candidate: 6.12.0-1
  Version table:
 *** 6.12.0-1 100
        100 /tmp/x/status
gone:
  Installed: 1.0
  Candidate: (none)
  Version table:
     1.0 -1
        100 /tmp/x/status
somebody-elses:
  Installed: (none)
  Candidate: 7
  Version table:
     7 500
        500 http://mirror/debian-security trixie-security/main amd64 Packages
"""
PACKAGES = {
    "libc6:amd64": "2.41-1",
    "bash": "5.2.37-2+b10",
    "openssl": "3.5.0-1",
    "curl": "8.14.1-3",
    "gone": "1.0",
    "linux-image-6.12.0-amd64": "6.12.0-1",
}


def test_those_of_security_come_first_and_what_is_not_in_the_live_system_counts_for_nothing() -> None:
    assert updates.parse(POLICY, PACKAGES, "amd64") == (
        PackageUpdate("openssl", "3.5.0-1", "3.5.9-1~deb13u1", security=True),
        PackageUpdate("curl", "8.14.1-3", "8.14.1-4", security=False),
        PackageUpdate("libc6:amd64", "2.41-1", "2.41-12+deb13u5", security=False),
    )


def test_an_update_of_security_that_something_newer_has_overtaken_is_one_of_security() -> None:
    newest = "     3.5.9-2 500\n        500 http://mirror/debian trixie-updates/main amd64 Packages\n     3.5.9-1 500\n"
    overtaken = POLICY.replace("     3.5.9-1~deb13u1 500\n", newest)
    found = updates.parse(overtaken.replace("Candidate: 3.5.9-1~deb13u1", "Candidate: 3.5.9-2"), PACKAGES, "amd64")
    assert found[0] == PackageUpdate("openssl", "3.5.0-1", "3.5.9-2", security=True)


@pytest.mark.parametrize("policy", ["", "N: Unable to locate x\n", "libc6:\n", "libc6:\n  Candidate: \n", "::\n"])
def test_what_is_not_understood_is_no_update(policy: str) -> None:
    assert updates.parse(policy, PACKAGES, "amd64") == ()
