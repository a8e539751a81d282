"""A release from the box that builds to another one, over a wire and a real web server (busybox httpd)."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.config.file import load
from image import release, signature
from services.ethernet import MacAddress
from tests.netns.served import TIMEOUT, install_release
from tests.room.namespaces import Namespace, Network, assert_nothing_left
from tests.room.processes import wait_until
from tests.room.room import appliance_command

URL = "http://10.77.0.1:8000/images"
SIZES = {release.KERNEL: 1 << 20, release.INITRD: 1 << 20, release.SQUASHFS: 24 << 20, release.PACKAGES: 100}


class PullingBox:
    """A host with a configuration and data of its own, where verbs are typed."""

    def __init__(self, host: Namespace, folder: Path) -> None:
        self.host, self.folder, self.images = host, folder, folder / "data" / "images"
        folder.mkdir()
        (folder / "c.toml").write_text(f'[server]\ndata = "{folder}/data"\n[image]\nrequire_signature = true\n')

    @property
    def command(self) -> list[str]:
        return [appliance_command(), "--config", str(self.folder / "c.toml"), "image"]

    def type(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        done = self.host.run([*self.command, *arguments], timeout=TIMEOUT, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout, done.stderr


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as network:
        yield network
    assert_nothing_left(network.room)


@pytest.fixture(scope="module")
def builder(network: Network, tmp_path_factory: pytest.TempPathFactory) -> PullingBox:
    """The box that builds, with two releases of which the newer one is laid out, and a slow wire."""
    folder = tmp_path_factory.mktemp("pull")
    host = network.host("builder", "10.77.0.1/24", MacAddress.parse("52:54:00:00:00:01"))
    box = PullingBox(host, folder / "builder")
    signature.make(load(box.folder / "c.toml").key_ring)
    made = install_release(box.images, SIZES, loaders={"snponly.efi": b"loader"})
    box.type("sign", made.id)
    box.type("push", str(folder / "www" / "images"), made.id)
    (box.folder / "builder.pub").write_text(box.type("key", "show")[0])
    host.start("httpd", ["busybox", "httpd", "-f", "-p", "8000", "-h", str(folder / "www")], folder / "httpd.log")
    wait_until(lambda: ":8000" in host.run(["ss", "-ltn"]).stdout, TIMEOUT, "the web server")
    host.run(["tc", "qdisc", "add", "dev", "lan0", "root", "tbf", "rate", "80mbit", "burst", "64k", "latency", "50ms"])
    return box


@pytest.fixture(scope="module")
def box(network: Network, builder: PullingBox) -> PullingBox:
    host = network.host("other", "10.77.0.2/24", MacAddress.parse("52:54:00:00:00:02"))
    return PullingBox(host, builder.folder.parent / "other")


def test_a_box_takes_nothing_from_a_builder_that_it_does_not_know(box: PullingBox, builder: PullingBox) -> None:
    assert "no key is trusted here" in box.type("pull", URL, code=1)[1]
    stranger = signature.make(signature.KeyRing(box.folder / "stranger"))
    signature.trust(load(box.folder / "c.toml").key_ring, stranger.pem.encode())
    assert "by no key that is trusted here" in box.type("pull", URL, code=1)[1]
    assert not box.images.exists()
    box.type("key", "trust", str(builder.folder / "builder.pub"))


def test_a_pull_that_is_killed_goes_on_where_it_was(box: PullingBox, builder: PullingBox) -> None:
    (wanted,) = release.releases(builder.images).releases
    part = box.images / f".pulling-{wanted.id}" / f"{wanted.files[release.SQUASHFS].sha256}.part"
    pulling = box.host.start("pull", [*box.command, "pull", URL], box.folder / "pull.log")
    wait_until(lambda: part.exists() and part.stat().st_size > 1 << 20, TIMEOUT, "a part of the file", 0.01)
    os.killpg(pulling.pid, signal.SIGKILL)
    wait_until(lambda: not pulling.running, TIMEOUT, "the end of the pull")
    came = part.stat().st_size
    assert came < SIZES[release.SQUASHFS]
    assert release.releases(box.images).releases == ()
    done = json.loads(box.type("pull", URL, "--json")[0])
    assert done["resumed"] >= came
    assert done["fetched"] + done["resumed"] == done["size"] == wanted.size
    assert release.active_id(box.images) is None
    assert [path.name for path in box.images.iterdir() if path.name != ".lock"] == [wanted.id]


def test_what_was_pulled_is_activated_and_the_next_one_shares_its_files(box: PullingBox, builder: PullingBox) -> None:
    (first,) = release.releases(box.images).releases
    box.type("activate", first.id)
    second = "20990101-000000-00000000"
    path = builder.images / second
    shutil.copytree(builder.images / first.id, path)
    (path / release.KERNEL).write_bytes(b"a newer kernel")
    files = {**first.files, release.KERNEL: release.describe(path / release.KERNEL)}
    (path / release.MANIFEST).write_bytes(release.render_manifest(replace(first, path=path, files=files)))
    builder.type("sign", second)
    builder.type("push", str(builder.folder.parent / "www" / "images"), second)
    done = json.loads(box.type("pull", URL, "--json")[0])
    assert (done["id"], done["fetched"]) == (second, len(b"a newer kernel"))
    assert done["linked"] == done["size"] - done["fetched"]
    assert release.active_id(box.images) == first.id
    box.type("activate", second)
    box.type("rollback")
    assert release.active_id(box.images) == first.id
