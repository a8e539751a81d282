"""Running nft: what it is told, and what its failures mean. The real one: tests/netns/test_wall.py."""

from collections.abc import Sequence
from typing import Any

import pytest

from services.ethernet import MacAddress
from services.linux import programs
from services.linux.programs import ProgramError
from services.nfs import nftables
from services.nfs.backend import NfsError
from services.nfs.wall import REMOVE


class Nft:
    """Stands in for nft: what it was told, and what it answers, by the last argument."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.answers: dict[str, str | ProgramError] = {}

    def __call__(self, arguments: Sequence[str], *, seconds: float, text: str = "") -> str:
        assert arguments[0] == "nft"
        self.told.append(text or arguments[-1])
        answer = self.answers.get(self.told[-1], "")
        if isinstance(answer, ProgramError):
            raise answer
        return answer


@pytest.fixture
def nft(monkeypatch: pytest.MonkeyPatch) -> Nft:
    nft = Nft()
    monkeypatch.setattr(programs, "output", nft)
    return nft


def failure(said: str = "", **more: Any) -> ProgramError:
    return ProgramError(("nft",), "ended with status 1", said=said, **more)


def test_a_wall_is_one_transaction(nft: Nft) -> None:
    nftables.put_up("the wall")
    assert nft.told == ["the wall"]


def test_tables_of_another_version_are_replaced_in_one_transaction(nft: Nft) -> None:
    nft.answers["the wall"] = failure("Error: Could not process rule: File exists")
    nftables.put_up("the wall")
    assert nft.told == ["the wall", REMOVE + "the wall"]


def test_a_wall_that_the_kernel_does_not_take_is_an_error(nft: Nft) -> None:
    for text in ("the wall", REMOVE + "the wall"):
        nft.answers[text] = failure("Error: Operation not permitted")
    with pytest.raises(NfsError, match="cannot be guarded: nft ended with status 1: Error: Operation not permitted"):
        nftables.put_up("the wall")


def test_without_nft_the_error_says_which_package(nft: Nft) -> None:
    for text in ("the wall", REMOVE + "the wall", "heard", "guard"):
        nft.answers[text] = failure(missing=True)
    for call in (lambda: nftables.put_up("the wall"), nftables.heard, nftables.is_up):
        with pytest.raises(NfsError, match="nft is not installed") as caught:
            call()
        assert caught.value.hint == "apt-get install nftables"


def test_without_a_wall_nothing_was_recorded(nft: Nft) -> None:
    for name in ("heard", "claims", "pairs", "guard"):
        nft.answers[name] = failure("Error: No such file or directory list set inet netboot_appliance heard")
    assert nftables.heard() == nftables.claims() == {}
    assert nftables.pairs() == frozenset()
    assert not nftables.is_up()
    nft.answers["guard"] = "chain guard"
    assert nftables.is_up()


def test_claims_come_from_both_tables(nft: Nft) -> None:
    element = '{"elem": {"val": {"concat": ["02:66:00:00:00:01", "10.77.0.9"]}, "expires": 290}}'
    nft.answers["claims"] = f'{{"nftables": [{{"set": {{"elem": [{element}]}}}}]}}'
    (((mac, _), seconds),) = nftables.claims().items()
    assert (mac, seconds) == (MacAddress.parse("02:66:00:00:00:01"), 10.0)
    assert nft.told == ["claims", "claims"]


def test_nonsense_is_an_error(nft: Nft) -> None:
    nft.answers["heard"] = "nonsense"
    with pytest.raises(NfsError) as caught:
        nftables.heard()
    assert caught.value.hint.endswith("nft --json list set inet netboot_appliance heard")
