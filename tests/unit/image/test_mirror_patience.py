"""A mirror is given up for what hundreds of files wait for in vain, and for nothing else."""

from collections.abc import Iterable

from image.mirror_patience import MirrorPatience

GET = "Get:4 http://deb.example.org/debian trixie/main amd64 systemd amd64 257.13-1 [3094 kB]"
IGN = "Ign:4 http://deb.example.org/debian trixie/main amd64 systemd amd64 257.13-1"
MUTE = "HTTP request sent, awaiting response... Read error (Connection timed out) in headers."


def lost_at(told: Iterable[tuple[float, str]]) -> float | None:
    """When the mirror is lost, if it ever is."""
    patience = MirrorPatience()
    return next((now for now, line in told if patience.lost(line, now)), None)


def test_a_mirror_that_never_answers_is_lost_with_the_second_try() -> None:
    assert lost_at([(0, "I: Retrieving InRelease"), (10, MUTE), (21, MUTE)]) == 21
    assert lost_at([(0, "P: Configuring file /etc/apt/sources.list"), (14, IGN), (14.1, IGN), (29, IGN)]) == 29


def test_one_that_falls_silent_in_the_middle_is_lost_although_each_file_begins() -> None:
    told = [(number * 10.0 + late, line) for number in range(9) for late, line in ((0, GET), (10, IGN))]
    assert lost_at([(0, GET), *told]) == 20


def test_a_slow_one_is_not_lost() -> None:
    assert lost_at((number * 60.0, GET) for number in range(100)) is None
    saved = "2026-11-30 20:05:02 (9 kB/s) - 'chroot/Packages' saved [9000000/9000000]"
    assert lost_at((number * 60.0, saved) for number in range(100)) is None


def test_one_that_stumbles_now_and_then_is_not_lost() -> None:
    round_of_files = ((0.0, GET), (1.0, GET), (11.0, IGN), (12.0, GET), (13.0, GET))
    assert lost_at((number * 20 + late, line) for number in range(50) for late, line in round_of_files) is None


def test_a_package_that_it_does_not_have_loses_no_time() -> None:
    missing = "Err:7 http://deb.example.org/debian trixie/main amd64 htop amd64 3.4.1"
    assert lost_at((number * 0.01, missing) for number in range(500)) is None


def test_minutes_of_computing_before_a_file_that_is_not_there_are_no_silence() -> None:
    assert lost_at([(0, "update-initramfs: Generating"), (300, IGN), (300.1, GET)]) is None
