"""The real boinc-client on the files we render, with the offline project: attach, compute, report, and a power cut."""

import re
import time
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from services.boinc.accounts import Account
from services.boinc.files import ClientSettings, render
from services.boinc.preferences import Preferences
from tests.fakes.boinc_project import ACCOUNT_KEY, Host, Result, Status, master_url
from tests.netns.boinc_pc import TIMEOUT, Pc, RunningProject, ask, host
from tests.room.namespaces import Network
from tests.room.processes import tail, wait_until

PROJECT = IPv4Address("10.77.0.3")
MANAGER = IPv4Address("10.77.0.4")
OTHER = IPv4Address("10.77.0.5")
JOB_SECONDS = 20


class Scene:
    """The project, four PCs, a host that may manage them, and one that may not."""

    def __init__(self, network: Network, directory: Path) -> None:
        self.hosts = {
            address: host(network, name, address)
            for name, address in (("project", PROJECT), ("manager", MANAGER), ("other", OTHER))
        }
        self.project = RunningProject(self.hosts[PROJECT], PROJECT, directory / "project")
        good = Account(master_url(str(PROJECT)), ACCOUNT_KEY)
        wrong = Account(master_url(str(PROJECT)), ACCOUNT_KEY[::-1])
        self.steady, self.cut, self.refused, self.detached = (
            self._pc(network, directory, 21 + index, account) for index, account in enumerate((good, good, wrong, None))
        )

    def _pc(self, network: Network, directory: Path, number: int, account: Account | None) -> Pc:
        address = IPv4Address(f"10.77.0.{number}")
        settings = ClientSettings(
            (account,) if account else (), preferences=Preferences(disk_max_used_gb=1), management_hosts=(MANAGER,)
        )
        files = render(settings, f"password-of-{number}")
        return Pc(host(network, f"pc{number}", address), address, directory, files)

    def start(self) -> None:
        self.project.start("--job-seconds", str(JOB_SECONDS))
        for pc in (self.steady, self.cut, self.refused, self.detached):
            pc.power_on()

    @property
    def status(self) -> Status:
        return self.project.status

    def host(self, pc: Pc) -> Host:
        return self.project.host(pc)

    def first_result(self, pc: Pc) -> Result | None:
        return next(iter(self.project.results(pc)), None)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Network() as network:
        scene = Scene(network, tmp_path_factory.mktemp("boinc"))
        scene.start()
        yield scene


def test_a_job_survives_a_power_cut_and_its_host_keeps_its_identity(scene: Scene) -> None:
    pc = scene.cut
    pc.waits_for(lambda: pc.checkpoint >= 3 and "<active_task>" in pc.state, "to be in the middle of its job")
    pc.cut_power()
    before, count = scene.host(pc), pc.checkpoint
    assert 3 <= count < JOB_SECONDS, "cut in the middle"
    pc.power_on()
    pc.waits_for(scene.project.has_reported(pc), "to report its first job")
    result = scene.first_result(pc)
    assert result
    assert result.output == {"total": JOB_SECONDS, "starts": 2, "resumed_from": count}
    assert (scene.host(pc).id, scene.host(pc).cpid) == (before.id, before.cpid)
    assert result.hostid == before.id
    assert not [each for each in scene.status.results.values() if each.state == "detached"]


def test_a_pc_attaches_computes_and_reports_and_gets_the_next_job(scene: Scene) -> None:
    pc = scene.steady
    pc.waits_for(scene.project.has_reported(pc), "to report its first job")
    result = scene.first_result(pc)
    assert result
    assert result.output == {"total": JOB_SECONDS, "starts": 1, "resumed_from": 0}
    assert result.sent < result.uploaded <= result.reported
    host = scene.host(pc)
    assert (host.domain_name, host.ip) == (pc.name, str(pc.address))
    pc.waits_for(lambda: len(scene.status.of_host(host.id)) > 1, "to get its next job")


def test_two_pcs_are_two_hosts_with_jobs_of_their_own(scene: Scene) -> None:
    scene.steady.waits_for(lambda: scene.first_result(scene.steady) is not None, "to get a job")
    scene.cut.waits_for(lambda: scene.first_result(scene.cut) is not None, "to get a job")
    assert scene.host(scene.steady).id != scene.host(scene.cut).id
    assert scene.host(scene.steady).p_model == scene.host(scene.cut).p_model, "alike but for name and address"


def test_a_wrong_account_key_is_refused(scene: Scene) -> None:
    pc = scene.refused
    pc.waits_for(lambda: "Invalid or missing account key" in tail(pc.log, 200), "to be told that its key is wrong")
    assert f"refused {pc.name} at {pc.address}: wrong account key" in scene.project.log.read_text()
    assert not scene.status.named(pc.name)


def test_a_pc_without_an_account_waits_without_a_project(scene: Scene) -> None:
    pc = scene.detached

    def answer() -> str:
        return ask(scene.hosts[MANAGER], pc, "--get_project_status").stdout

    pc.waits_for(lambda: "Projects" in answer(), "to answer the manager")
    assert "master URL" not in answer()
    assert pc.name not in scene.project.log.read_text()


def test_only_a_management_host_with_the_password_may_connect(scene: Scene) -> None:
    pc = scene.steady
    manager, other = scene.hosts[MANAGER], scene.hosts[OTHER]
    pc.waits_for(lambda: scene.first_result(pc) is not None, "to get a job")
    pc.waits_for(
        lambda: f"count_host{scene.host(pc).id}_" in ask(manager, pc, "--get_tasks").stdout,
        "to show its task to the manager",
    )
    wrong = ask(manager, pc, "--get_tasks", password="wrong")
    assert wrong.returncode != 0
    assert "Authorization failure" in wrong.stderr
    refused = ask(other, pc, "--get_tasks")
    assert refused.returncode != 0
    assert "name:" not in refused.stdout
    pc.waits_for(
        lambda: f"GUI RPC request from non-allowed address {OTHER}" in pc.log.read_text(), "to log the refused host"
    )


def test_the_task_shows_its_progress(scene: Scene) -> None:
    pc = scene.steady

    def fraction() -> float:
        tasks = ask(scene.hosts[MANAGER], pc, "--get_tasks").stdout
        return max(map(float, re.findall(r"fraction done: ([0-9.]+)", tasks)), default=0.0)

    pc.waits_for(lambda: 0.2 <= fraction() < 1.0, "to be some way into a job")


def test_the_client_takes_every_file_we_render(scene: Scene) -> None:
    pc = scene.steady
    pc.waits_for(lambda: "Initialization completed" in pc.log.read_text(), "to start")
    log = pc.log.read_text()
    assert "Config: don't use coprocessors" in log
    assert "Config: don't fetch project list or client version info" in log
    assert "max disk usage: 1.00 GB" in log
    assert "suspend work if non-BOINC CPU load exceeds" not in log
    assert "Unrecognized" not in log
    assert "Unparsed" not in log


def test_the_client_stops_within_seconds(scene: Scene) -> None:
    pc = scene.detached
    begun = time.monotonic()
    ask(scene.hosts[MANAGER], pc, "--quit")
    wait_until(lambda: pc.process is not None and not pc.process.running, TIMEOUT, f"{pc.name} to quit")
    assert time.monotonic() - begun < 20
