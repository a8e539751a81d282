"""`image key`, `sign`, `verify`, `push` and `pull` as their user types them."""

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from image import release
from tests.unit.appliance.cli.box_with_releases import NEW, OLD, BoxWithReleases
from tests.unit.appliance.cli.program import netboot_appliance
from tests.unit.image.offering import offering


class SigningBox(BoxWithReleases):
    """A box whose verbs run as programs."""

    def type(self, *arguments: object) -> "CompletedProcess[str]":
        return netboot_appliance("--config", self.data / "c.toml", "image", *arguments)

    def done(self, *arguments: object) -> str:
        done = self.type(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def require(self) -> None:
        self.configure("[image]\nrequire_signature = true\n")


@pytest.fixture
def signing(tmp_path: Path) -> SigningBox:
    return SigningBox(tmp_path)


def test_a_box_signs_and_verifies(signing: SigningBox) -> None:
    made = signing.done("key", "new").splitlines()[0].removeprefix("new key: ")
    assert signing.done("key", "show").startswith("-----BEGIN PUBLIC KEY-----\n")
    assert signing.done("key", "list").split()[1:] == [made, "of", "this", "box"]
    assert signing.done("verify") == f"{NEW}: all files are as they were built; not signed\n"
    assert signing.done("sign", "current") == f"signed: {NEW}, by the key {made}\n"
    assert signing.done("verify") == f"{NEW}: all files are as they were built; signed by the key {made}\n"
    assert json.loads(signing.done("verify", "--json")) == {
        "id": NEW,
        "problems": [],
        "signature": "good",
        "key": made,
        "usable": True,
    }


def test_what_is_not_signed_is_activated_only_where_that_is_allowed(signing: SigningBox) -> None:
    done = signing.type("activate", OLD)
    assert (done.returncode, done.stderr) == (0, f"warning: the release {OLD} is not signed\n")
    signing.require()
    for verb in (("activate", NEW), ("rollback",), ("activate", NEW, "--canary", "52:54:00:aa:bb:cc")):
        done = signing.type(*verb)
        assert done.returncode == 2
        assert "is not signed" in done.stderr
        assert "image sign" in done.stderr
    assert release.active_id(signing.data / "images") == OLD
    assert json.loads(signing.type("verify", "--all", "--json").stdout)[0]["usable"] is False
    signing.done("key", "new")
    signing.done("sign", NEW)
    assert signing.done("activate", NEW) == f"active: {NEW}\n"


def test_damage_is_named_with_exit_code_1(signing: SigningBox) -> None:
    kernel = signing.data / "images" / OLD / "vmlinuz"
    kernel.write_bytes(kernel.read_bytes()[::-1])
    done = signing.type("verify", "previous")
    assert done.returncode == 1
    assert f"{OLD}: vmlinuz is not what was built" in done.stderr
    for verb in (("activate", OLD), ("rollback",), ("sign", OLD), ("push", signing.data / "shown", OLD)):
        done = signing.type(*verb)
        assert done.returncode in (1, 2)
        assert "vmlinuz is not what was built" in done.stderr
    kernel.unlink()
    done = signing.type("verify", "--all")
    assert done.returncode == 1
    assert "vmlinuz is missing" in done.stderr
    assert f"{NEW}: all files are as they were built" in done.stdout
    assert release.active_id(signing.data / "images") == NEW


def test_a_release_goes_from_one_box_to_another(signing: SigningBox, tmp_path: Path) -> None:
    signing.done("key", "new")
    signing.done("sign", NEW)
    assert f"{NEW} (" in signing.done("push", tmp_path / "shown")
    (tmp_path / "builder.pub").write_text(signing.done("key", "show"))
    other = tmp_path / "other"
    other.mkdir()
    (other / "c.toml").write_text(f'[server]\ndata = "{other}"\n[image]\nrequire_signature = true\n')

    def there(*arguments: object) -> "CompletedProcess[str]":
        return netboot_appliance("--config", other / "c.toml", "image", *arguments)

    with offering(tmp_path / "shown") as server:
        refused = there("pull", server.url)
        assert refused.returncode == 1
        assert "no key is trusted here" in refused.stderr
        assert there("key", "trust", tmp_path / "builder.pub").returncode == 0
        pulled = json.loads(there("pull", server.url, "--json").stdout)
        assert (pulled["id"], pulled["new"], pulled["fetched"]) == (NEW, True, pulled["size"])
        assert f"{NEW} is here already" in there("pull", server.url).stdout
    assert release.active_id(other / "images") is None
    assert there("activate", NEW).stdout == f"active: {NEW}\n"
    ident = json.loads(there("key", "list", "--json").stdout)[0]["id"]
    assert there("key", "forget", ident[:8]).returncode == 0
    assert there("verify").returncode == 1


def test_this_boxs_own_key_is_not_deleted_by_chance(signing: SigningBox) -> None:
    made = signing.done("key", "new").splitlines()[0].removeprefix("new key: ")
    done = signing.type("key", "forget", made)
    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert signing.type("key", "new").returncode == 1
    signing.done("key", "forget", made, "--yes")
    assert not (signing.data / "image-keys" / "own.key").exists()
    assert signing.type("key", "show").returncode == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("verify", "--all", "current"), "exclude each other"),
        (("sign", "current", "--key", "a", "--signature", "b"), "exclude each other"),
        (("sign", "current", "--key", "/nonexistent"), "no Ed25519 private key"),
        (("sign", "current", "--signature", "/nonexistent"), "cannot read the signature"),
        (("sign", "current", "--signature", "/dev/zero"), "not a regular file"),
        (("sign", "current"), "this box has no key"),
        (("key", "trust", "/nonexistent"), "cannot read"),
        (("key", "trust", "/etc/hostname"), "no Ed25519 public key"),
        (("key", "forget", "00000000"), "no trusted key"),
        (("pull", "https://u:secret@h/"), "can be seen by every user"),
        (("push", "/dev/null/x"), "is not signed"),
        (("rebuild", "current"), "say --verify"),
        (("rebuild", "current", "--verify"), "another version of netboot-appliance built"),
    ],
)
def test_bad_input_is_one_message_with_a_hint(signing: SigningBox, arguments: tuple[str, ...], said: str) -> None:
    done = signing.type(*arguments)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert not (signing.data / "images" / NEW / release.SIGNATURE).exists()
