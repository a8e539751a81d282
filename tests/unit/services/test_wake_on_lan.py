"""The magic packet, byte by byte, and SecureOn passwords as people write them."""

import pytest

from services.ethernet import MacAddress
from services.wake_on_lan import magic_packet, read_password

MAC = MacAddress.parse("52:54:00:aa:bb:01")


def test_a_packet() -> None:
    packet = magic_packet(MAC)
    assert packet == bytes.fromhex("ffffffffffff" + "525400aabb01" * 16)
    assert len(packet) == 102


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("00:11:22:33:44:55", "001122334455"),
        ("00-11-22-33-44-FF", "0011223344ff"),
        ("0011223344ff", "0011223344ff"),
        ("192.168.1.1", "c0a80101"),
    ],
)
def test_a_secureon_password_follows_the_packet(written: str, sent: str) -> None:
    assert magic_packet(MAC, read_password(written)) == magic_packet(MAC) + bytes.fromhex(sent)


@pytest.mark.parametrize("text", ["", "hunter2", "00:11:22:33:44", "00:11:22:33:44:55:66", "1.2.3", "1.2.3.256", "::1"])
def test_a_wrong_password_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="write six bytes") as error:
        read_password(text)
    assert not text or text not in str(error.value)


def test_a_password_of_another_length() -> None:
    with pytest.raises(ValueError, match="4 or 6 bytes, not 5"):
        magic_packet(MAC, b"12345")
