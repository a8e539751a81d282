"""The real boinc-client on our files, with projects as they are in the world: away, in maintenance, slow, behind https,
behind a web proxy, or named by an account manager that changes the key.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from image import build
from services.boinc import condition
from services.boinc.accounts import Account, AccountManager
from services.boinc.condition import Condition
from services.boinc.files import CA_FILE, ClientSettings, Proxy, render
from tests.fakes import boinc_account_manager
from tests.fakes.boinc_control import ManagedAccount, Weather
from tests.fakes.boinc_project import MANAGER_ROOT, master_url
from tests.netns.boinc_pc import CHECKOUT, Pc, RunningProject, host
from tests.room import certificates
from tests.room.namespaces import Network

OFFICE, AWAY, SECURE, MANAGED, PROXY = (IPv4Address(f"10.77.0.{number}") for number in (3, 4, 5, 6, 7))
PROXY_PORT = 3128
KEY, NEW_KEY = f"1_{'0123456789abcdef' * 2}", f"1_{'fedcba9876543210' * 2}"
JOB_SECONDS = 20
SCRIPTS = build.TREE / "includes.chroot_after_packages/usr/lib/netboot-appliance"
URGE = """\
. {scripts}/boot.sh
RUN={scripts}
. {scripts}/boinc.sh
. {scripts}/facts.sh
. {scripts}/projects.sh
WAITS=(1 1 1 1)
while :; do
    if ask "$RUN/poll" '<get_cc_status/>' '<get_project_status/>'; then urge_projects; fi
    sleep 1
done
"""
"""What the live system's agent does about projects that do not answer, with shorter waits."""


@dataclass
class Scene:
    """Four projects and four PCs."""

    office: RunningProject
    away: RunningProject
    secure: RunningProject
    managed_project: RunningProject
    early: Pc
    distrustful: Pc
    proxied: Pc
    managed: Pc
    proxy_log: Path


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    directory = tmp_path_factory.mktemp("boinc")
    issued = certificates.issue(directory / "certificates", SECURE)
    office, away, managed_project = (Account(master_url(str(address)), KEY) for address in (OFFICE, AWAY, MANAGED))
    secure = Account(master_url(str(SECURE), scheme="https"), KEY)
    ca = issued.authority.read_text()
    manager = AccountManager(
        f"http://{MANAGED}{MANAGER_ROOT}", boinc_account_manager.LOGIN, boinc_account_manager.PASSWORD_HASH
    )
    numbers = iter(range(21, 40))
    with Network() as network:

        def project(name: str, address: IPv4Address) -> RunningProject:
            return RunningProject(host(network, name, address), address, directory / name)

        def pc(settings: ClientSettings) -> Pc:
            address = IPv4Address(f"10.77.0.{next(numbers)}")
            files = render(settings, "password")
            if CA_FILE in files:
                files["ca-bundle.crt"] = files.pop(CA_FILE)  # by the live system, with Debian's own
            return Pc(host(network, f"pc{address.packed[3]}", address), address, directory, files)

        scene = Scene(
            office=project("office", OFFICE),
            away=project("away", AWAY),
            secure=project("secure", SECURE),
            managed_project=project("managed", MANAGED),
            early=pc(ClientSettings((away,))),
            distrustful=pc(ClientSettings((secure,))),
            proxied=pc(ClientSettings((office, secure), proxy=Proxy(str(PROXY), PROXY_PORT), ca=ca)),
            managed=pc(ClientSettings(manager=manager)),
            proxy_log=directory / "proxy.log",
        )
        common = ("--account-key", KEY, "--job-seconds", str(JOB_SECONDS))
        scene.office.start(*common)
        scene.away.start(*common, weather=Weather.REFUSING)
        scene.secure.start(*common, "--certificate", str(issued.server))
        scene.managed_project.change(managed=(ManagedAccount(managed_project.url, KEY),))
        scene.managed_project.start(*common)
        command = [sys.executable, "-m", "tests.fakes.web_proxy", "--address", str(PROXY), "--port", str(PROXY_PORT)]
        proxy = host(network, "proxy", PROXY).start("the web proxy", command, scene.proxy_log, CHECKOUT)
        proxy.wait_for_log("serving", 90)
        for address in (OFFICE, SECURE):
            scene.proxied.namespace.ip("route", "add", "prohibit", str(address))
        for each in (scene.early, scene.distrustful, scene.proxied, scene.managed):
            each.power_on()
        yield scene


def scripts_of_the_agent(pc: Pc, directory: Path) -> Path:
    """The live system's scripts, for a client that runs in this directory and as this user."""
    directory.mkdir()
    for script in SCRIPTS.iterdir():
        text = script.read_text()
        for real, here in (
            (f"/{SCRIPTS.relative_to(SCRIPTS.parents[2])}", str(directory)),
            ("/var/lib/boinc-client", str(pc.data)),
            ("setpriv --reuid=boinc --regid=boinc --clear-groups --no-new-privs --", "env"),
        ):
            text = text.replace(real, here)
        (directory / script.name).write_text(text)
        (directory / script.name).chmod(0o755)
    return directory


def test_a_project_that_was_away_at_the_first_contact_is_joined_soon_after_it_came_back(
    scene: Scene, tmp_path: Path
) -> None:
    pc, scripts = scene.early, tmp_path / "scripts"
    pc.waits_for(lambda: pc.failed_fetches > 0, "to find nobody at the project")
    text = URGE.format(scripts=scripts_of_the_agent(pc, scripts))
    agent = pc.namespace.start("the agent", ["bash", "-c", text], tmp_path / "agent.log")
    agent.wait_for_log("asking the project", 60)
    scene.away.change(weather=Weather.UP)
    # The client itself would wait a minute, then longer, and a day after its third try.
    pc.waits_for(lambda: scene.away.results(pc) != [], "to get a job", 40)
    agent.stop()

    def heard() -> Condition:
        asked = [str(scripts / "gui-rpc"), "<get_cc_status/>", "<get_project_status/>", "<get_results/>"]
        return condition.read(pc.namespace.run(asked, check=False).stdout.replace("\003", "").encode())

    (job,) = scene.away.results(pc)
    pc.waits_for(lambda: [task.name for task in heard().tasks] == [job.name], "to say what it computes", 60)
    assert [project.host_id for project in heard().projects] == [scene.away.host(pc).id]


def test_a_project_in_maintenance_keeps_its_host_and_the_job_that_was_finished_meanwhile(scene: Scene) -> None:
    pc, url = scene.early, master_url(str(AWAY))
    pc.waits_for(lambda: pc.checkpoint >= 1, "to begin its job")
    job = scene.away.results(pc)[-1].name
    scene.away.change(weather=Weather.MAINTENANCE)
    pc.waits_for(lambda: scene.away.status.results[job].state == "uploaded", "to upload its result")
    pc.waits_for(lambda: "shut down for maintenance" in pc.boinccmd("--get_messages"), "to be sent away", 60)
    scene.away.change(weather=Weather.SLOW)
    pc.boinccmd("--project", url, "update")
    pc.waits_for(lambda: scene.away.status.results[job].state == "reported", "to report although it is slow", 90)
    scene.away.change(weather=Weather.UP)
    assert len(scene.away.status.hosts) == 1


def test_a_result_is_reported_at_once_although_no_more_work_is_wanted(scene: Scene) -> None:
    pc = scene.managed
    pc.waits_for(lambda: pc.checkpoint >= 1, "to begin a job")
    job = scene.managed_project.results(pc)[-1].name
    pc.boinccmd("--project", master_url(str(MANAGED)), "nomorework")
    pc.waits_for(lambda: scene.managed_project.status.results[job].state == "reported", "to report its job", 90)
    reported = scene.managed_project.status.results[job]
    assert reported.reported - reported.uploaded < 20
    pc.boinccmd("--project", master_url(str(MANAGED)), "allowmorework")


def test_a_project_with_a_private_authority_is_not_joined_elsewhere(scene: Scene) -> None:
    pc = scene.distrustful
    pc.waits_for(lambda: pc.failed_fetches > 0, "to fail at the project's first page")
    assert scene.secure.status.named(pc.name) == []


def test_a_pc_behind_a_web_proxy_computes_for_projects_of_both_kinds(scene: Scene) -> None:
    pc = scene.proxied
    for project in (scene.office, scene.secure):
        pc.waits_for(project.has_reported(pc), "to report a job")
    said = scene.proxy_log.read_text()
    assert f"POST {master_url(str(OFFICE))}cgi" in said
    assert f"CONNECT {SECURE}:443" in said


def test_an_account_manager_gives_a_running_client_its_project_and_a_new_key(scene: Scene) -> None:
    pc, url = scene.managed, master_url(str(MANAGED))
    pc.waits_for(lambda: scene.managed_project.results(pc) != [], "to join what the manager names")
    before = scene.managed_project.host(pc)
    scene.managed_project.change(account_key=NEW_KEY, managed=(ManagedAccount(url, NEW_KEY, update=True),))
    pc.boinccmd("--acct_mgr", "sync")
    known = len(scene.managed_project.results(pc))
    pc.waits_for(lambda: len(scene.managed_project.results(pc)) > known, "to get another job with the new key")
    assert scene.managed_project.host(pc).id == before.id
    assert "Received new authenticator from account manager" in pc.boinccmd("--get_messages")
