"""How far a program is with what it fetches, by lines that programs printed."""

from image.transfers import Amount, Transfers


def heard(*lines: str) -> list[Amount | None]:
    transfers = Transfers()
    return [transfers.amount for line in lines if transfers.hear(line)]


def test_apt_says_how_much_it_will_fetch_and_which_file_it_is_at() -> None:
    assert heard(
        "Need to get 2475 kB of archives.",
        "After this operation, 12 MB of additional disk space will be used.",
        "Get:1 http://deb.example.org/debian trixie/main amd64 libzstd1 amd64 1.5.7 [304 kB]",
        "Get:2 http://deb.example.org/debian trixie/main amd64 passwd amd64 1:4.17 [1228 kB]",
        "Get:3 http://deb.example.org/debian trixie/main amd64 zstd amd64 1.5.7 [757 kB]",
        "Fetched 2475 kB in 0s (120 MB/s)",
    ) == [Amount(0, 2_475_000), Amount(304_000, 2_475_000), Amount(1_532_000, 2_475_000), None]


def test_what_is_kept_already_is_not_fetched() -> None:
    assert heard("Need to get 96.4 MB/158 MB of archives.") == [Amount(0, 96_400_000)]
    assert heard("Need to get 0 B/158 MB of archives.") == [Amount(0, 0)]


def test_the_lists_of_apt_have_no_total() -> None:
    assert heard("Get:1 http://deb.example.org/debian trixie InRelease [140 kB]") == []


def test_wget_says_the_size_of_what_it_has() -> None:
    saved = "2026-11-30 20:05:02 (9 kB/s) - 'chroot/x.deb' saved [{}/{}]"
    assert heard(saved.format(100, 100), saved.format(250, 250)) == [Amount(100, None), Amount(350, None)]


def test_nonsense_is_no_amount() -> None:
    assert heard("Need to get ... kB of archives.", "Get:1 x [,. kB]", "12/13 5%") == [Amount(0, 0)]
