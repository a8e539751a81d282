"""The BOINC files of a PC in the live system: what is placed, what stays, and what BOINC is told when they change."""

from pathlib import Path

import pytest

from services.boinc.accounts import Account, AccountManager
from services.boinc.files import ClientSettings, Proxy, render, tag
from services.boinc.files import archive as pack
from services.boinc.preferences import Preferences
from tests.unit.image.test_scripts import Box, box, pc, start

__all__ = ["box", "pc"]

OLD_KEY, NEW_KEY = "1_00112233445566778899aabbccddeeff", "1_ffeeddccbbaa99887766554433221100"
HERE, THERE = "https://a.example/x/", "https://b.example/"
FOREIGN = "account_c.example.xml"
PREFERENCES, SETTINGS = "global_prefs_override.xml", "cc_config.xml"
MANAGER = AccountManager("https://manager.example/", "me", "0" * 32)


def account(url: str = HERE, key: str = OLD_KEY) -> ClientSettings:
    """The files of a PC that computes for one project."""
    return ClientSettings((Account(url, key),))


def send(box: Box, settings: ClientSettings, password: str = "secret") -> str:
    """The box has these files for the PC now; returns their tag."""
    files = render(settings, password)
    box.files = pack(files, 731, 731)
    return tag(files)


def boot(pc: Path, box: Box, settings: ClientSettings) -> None:
    """The PC places these files at its start."""
    send(box, settings)
    done = start(pc, f"{pc}/scripts/boinc-files")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def told(pc: Path) -> Path:
    """What systemctl and boinccmd were told."""
    log = pc / "told"
    log.write_text("")
    for name in ("systemctl", "boinccmd"):
        (pc / "bin" / name).write_text(f'#!/bin/sh\necho "{name} $*${{AS:+ as boinc}}" >> {log}\n')
        (pc / "bin" / name).chmod(0o755)
    return log


def renew(pc: Path, told: Path) -> list[str]:
    """The PC fetches them while it runs; returns what it told systemd and BOINC."""
    told.write_text("")
    done = start(pc, f"{pc}/scripts/boinc-files", "--renew")
    assert (done.returncode, done.stderr) == (0, "")
    return told.read_text().splitlines()


def by_the_client(pc: Path, key: str = OLD_KEY, name: str = "account_a.example_x.xml") -> str:
    """The account file as the client writes it again after each answer of the project."""
    text = (
        f"<account>\n    <master_url>{HERE}</master_url>\n    <authenticator>{key}</authenticator>\n"
        "<project_preferences>\n<resource_share>7</resource_share>\n</project_preferences>\n</account>\n"
    )
    (pc / "data" / name).write_text(text)
    return text


def in_data(pc: Path, pattern: str) -> set[str]:
    return {path.name for path in (pc / "data").glob(pattern)}


RESTART = ["systemctl stop boinc-client.service", "systemctl start boinc-client.service"]


def test_a_new_key_is_placed_and_boinc_reads_it_by_a_restart(pc: Path, box: Box, told: Path) -> None:
    boot(pc, box, account())
    by_the_client(pc)
    send(box, account(key=NEW_KEY))
    assert renew(pc, told) == RESTART
    assert f"<authenticator>{NEW_KEY}<" in (pc / "data/account_a.example_x.xml").read_text()


def test_a_key_that_the_client_wrote_back_while_it_ended_is_replaced(pc: Path, box: Box, told: Path) -> None:
    boot(pc, box, account())
    text = by_the_client(pc)
    send(box, account(key=NEW_KEY))
    stop = f"#!/bin/sh\n[ $1 != stop ] || printf '%s' '{text}' > {pc}/data/account_a.example_x.xml\n"
    (pc / "bin/systemctl").write_text(stop)
    renew(pc, told)
    assert f"<authenticator>{NEW_KEY}<" in (pc / "data/account_a.example_x.xml").read_text()


def test_new_preferences_need_no_restart(pc: Path, box: Box, told: Path) -> None:
    boot(pc, box, account())
    before = by_the_client(pc)
    send(box, ClientSettings(account().accounts, preferences=Preferences(max_ncpus_pct=50)))
    assert renew(pc, told) == ["boinccmd --read_global_prefs_override as boinc"]
    assert "<max_ncpus_pct>50<" in (pc / "data" / PREFERENCES).read_text()
    assert (pc / "data/account_a.example_x.xml").read_text() == before, "it has the project's preferences, too"


@pytest.mark.parametrize(
    ("settings", "password"),
    [
        (ClientSettings(account().accounts, proxy=Proxy("10.0.0.8", 3128)), "secret"),
        (account(), "other"),
        (ClientSettings(account().accounts + account(THERE).accounts), "secret"),
    ],
)
def test_what_boinc_reads_only_when_it_starts(
    pc: Path, box: Box, told: Path, settings: ClientSettings, password: str
) -> None:
    boot(pc, box, account())
    send(box, settings, password)
    assert renew(pc, told) == RESTART
    assert renew(pc, told) == [], "nothing is new"


def test_the_tag_is_that_of_the_files_in_place(pc: Path, box: Box, told: Path) -> None:
    boot(pc, box, account())
    wanted = send(box, account(key=NEW_KEY))
    placed = pc / "run/netboot-appliance/files-tag"
    assert placed.read_text().strip() != wanted
    renew(pc, told)
    assert placed.read_text().strip() == wanted
    box.files = None
    assert start(pc, f"{pc}/scripts/boinc-files", "--renew").returncode != 0
    assert placed.read_text().strip() == wanted


def test_a_project_that_boinc_manager_added_stays(pc: Path, box: Box, told: Path) -> None:
    boot(pc, box, account())
    by_the_client(pc, "9_foreign", FOREIGN)
    boot(pc, box, account())
    send(box, account(key=NEW_KEY))
    renew(pc, told)
    assert in_data(pc, "account_*") == {"account_a.example_x.xml", FOREIGN}


def test_a_project_that_the_configuration_names_no_more_goes(pc: Path, box: Box, told: Path) -> None:
    boot(pc, box, ClientSettings(account().accounts + account(THERE, "2_there").accounts))
    by_the_client(pc, "9_foreign", FOREIGN)
    send(box, account(THERE, "2_there"))
    assert renew(pc, told) == RESTART
    assert in_data(pc, "account_*") == {"account_b.example.xml", FOREIGN}


def test_a_project_that_somebody_removed_in_boinc_manager_comes_back(pc: Path, box: Box) -> None:
    boot(pc, box, account())
    (pc / "data/account_a.example_x.xml").unlink()
    boot(pc, box, account())
    assert in_data(pc, "account_*") == {"account_a.example_x.xml"}


def test_a_project_that_moved_is_not_joined_twice(pc: Path, box: Box) -> None:
    """The client renames the account file when the project says that it has another URL."""
    boot(pc, box, account())
    (pc / "data/account_a.example_x.xml").unlink()
    by_the_client(pc, name="account_new.example.xml")
    boot(pc, box, account())
    assert in_data(pc, "account_*") == {"account_new.example.xml"}


def test_two_projects_with_one_key_are_both_joined(pc: Path, box: Box) -> None:
    both = ClientSettings(account().accounts + account(THERE).accounts)
    boot(pc, box, both)
    (pc / "data/account_b.example.xml").unlink()
    boot(pc, box, both)
    assert in_data(pc, "account_*") == {"account_a.example_x.xml", "account_b.example.xml"}


def test_what_an_account_manager_wrote_stays_while_the_configuration_does(pc: Path, box: Box, told: Path) -> None:
    boot(pc, box, ClientSettings(manager=MANAGER))
    written = {
        "acct_mgr_url.xml": f"<acct_mgr>\n<name>M</name>\n<url>{MANAGER.url}</url>\n<signing_key>\n</acct_mgr>\n",
        "acct_mgr_login.xml": "<acct_mgr_login>\n<authenticator>x</authenticator>\n</acct_mgr_login>\n",
    }
    for name, text in written.items():
        (pc / "data" / name).write_text(text)
    boot(pc, box, ClientSettings(manager=MANAGER))
    assert {name: (pc / "data" / name).read_text() for name in written} == written
    send(box, ClientSettings(manager=AccountManager(MANAGER.url, "me", "1" * 32)))
    assert renew(pc, told) == RESTART
    assert "1" * 32 in (pc / "data/acct_mgr_login.xml").read_text()


def test_an_account_manager_takes_its_projects_along(pc: Path, box: Box) -> None:
    boot(pc, box, ClientSettings(manager=MANAGER))
    by_the_client(pc, "9_of_the_manager", FOREIGN)
    boot(pc, box, account())
    assert in_data(pc, "acc*") == {"account_a.example_x.xml"}


def test_an_account_manager_is_enough_without_the_server(pc: Path, box: Box) -> None:
    boot(pc, box, ClientSettings(manager=MANAGER))
    box.files = None
    assert "using those of an earlier boot" in start(pc, f"{pc}/scripts/boinc-files").stdout


def test_our_certificates_are_trusted_beside_debians(pc: Path, box: Box, told: Path) -> None:
    debian, bundle = pc / "etc/ca-certificates.crt", pc / "data/ca-bundle.crt"
    debian.write_text("debian\n")
    boot(pc, box, account())
    assert bundle.is_symlink()
    with_ca = ClientSettings(account().accounts, ca="ours\n")
    send(box, with_ca)
    assert renew(pc, told) == [], "BOINC reads them at each connection"
    assert bundle.read_text() == "debian\nours\n"
    assert not (pc / "data/netboot-ca.crt").exists()
    debian.write_text("newer\n")
    boot(pc, box, with_ca)
    assert bundle.read_text() == "newer\nours\n"
    boot(pc, box, account())
    assert bundle.is_symlink()


def test_links_and_directories_that_an_application_left_are_replaced(pc: Path, box: Box) -> None:
    (pc / "elsewhere").write_text("")
    (pc / "data" / SETTINGS).symlink_to(pc / "elsewhere")
    (pc / "data/gui_rpc_auth.cfg/full").mkdir(parents=True)
    (pc / "data/.new").mkdir()
    boot(pc, box, account())
    assert "no_gpus" in (pc / "data" / SETTINGS).read_text()
    assert (pc / "elsewhere").read_text() == ""
    assert (pc / "data/gui_rpc_auth.cfg").read_text() == "secret\n"
    assert not (pc / "data/.new").exists()
