"""Which files an iPXE script loads."""

from services.menus.ipxe import LiveBoot, render
from services.probe.script import files

URL = "http://10.77.0.1/boot/525400aabb01/boot.ipxe"


def test_the_box_s_own_script() -> None:
    text = render(LiveBoot("image/1/vmlinuz", "image/1/initrd.img", "boot=live initrd=x nfsroot=10.77.0.1:/srv"))
    base = "http://10.77.0.1/boot/525400aabb01/image/1/"
    assert files(text, URL) == (base + "vmlinuz", base + "initrd.img")


def test_other_scripts() -> None:
    text = "#!ipxe\n  kernel --name k -t 5 http://a/k quiet\ninitrd /r1\ninitrd\nimgfree\n#kernel no\necho initrd x\n"
    assert files(text, URL) == ("http://a/k", "http://10.77.0.1/r1")
    assert files("", URL) == ()
