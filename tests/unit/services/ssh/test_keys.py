"""SSH keys: what people write, and host keys as OpenSSH reads them."""

import subprocess
from pathlib import Path

import pytest

from services.ethernet import MacAddress
from services.ssh.host_key import host_key, public_key
from services.ssh.public_keys import SshPublicKey
from tests.unit.debian import need

MAC = MacAddress.parse("52:54:00:aa:bb:cc")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF+j1mT//8SKGmdMhgA+PL15CNb0l1qd82G1KkXG7dmU"


@pytest.mark.parametrize(
    ("seed", "public"),
    [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        ),
    ],
)
def test_the_keys_of_rfc_8032(seed: str, public: str) -> None:
    assert public_key(bytes.fromhex(seed)).hex() == public


def test_openssh_reads_a_host_key(tmp_path: Path) -> None:
    need("ssh-keygen")
    key = host_key("secret", MAC)
    file = tmp_path / "key"
    file.touch(mode=0o600)
    file.write_text(key.private)

    def says(*arguments: str) -> str:
        return subprocess.run(["ssh-keygen", *arguments, "-f", file], capture_output=True, text=True, check=True).stdout

    assert says("-y").split() == key.public.split()
    assert says("-l").split()[1] == key.fingerprint


def test_each_pc_and_each_server_has_keys_of_its_own() -> None:
    keys = {host_key(secret, MacAddress(mac)).public for secret in ("a", "b") for mac in (1, 2)}
    assert len(keys) == 4
    assert host_key("a", MAC) == host_key("a", MAC)
    assert "PRIVATE" not in repr(host_key("a", MAC))


@pytest.mark.parametrize(("line", "shown"), [(f"{KEY}  an admin ", "an admin"), (KEY, "ssh-ed25519 …5qd82G1"[:12])])
def test_a_public_key(line: str, shown: str) -> None:
    assert SshPublicKey(line).startswith(KEY)
    assert SshPublicKey(line).shown.startswith(shown)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "write the line"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "private key"),
        (f'command="/bin/sh" {KEY}', "write the line"),
        (KEY[:-4], "cut"),
        (KEY.replace("ssh-ed25519", "ssh-rsa"), "another kind"),
        ("ssh-ed25519 AAAA$$$$", "no base64"),
        (f"{KEY} Käthe", "plain ASCII"),
    ],
)
def test_what_is_no_public_key(line: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SshPublicKey(line)
