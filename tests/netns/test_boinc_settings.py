"""The real boinc-client with what a configuration can say: a new key while it runs, preferences that the account's
website contradicts, several projects, an account manager, a web proxy and certificates of the office."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from image import build
from services.boinc.accounts import Account, AccountManager
from services.boinc.files import ClientSettings, Proxy, archive, render
from services.boinc.preferences import Preferences
from tests.fakes.boinc_account_manager import LOGIN, PASSWORD_HASH
from tests.fakes.boinc_control import ManagedAccount
from tests.fakes.boinc_project import ACCOUNT_KEY, master_url
from tests.netns.boinc_pc import CHECKOUT, Pc, RunningProject, host
from tests.room.certificates import Certificates, issue
from tests.room.namespaces import Namespace, Network

FIRST, SECOND, SECURE, PROXY = (IPv4Address(f"10.77.0.{number}") for number in (3, 4, 5, 6))
JOB_SECONDS = 20
NEW_KEY = "1_ffeeddccbbaa99887766554433221100"
PLACE = build.TREE / "includes.chroot_after_packages/usr/lib/netboot-appliance/place-boinc-files"
ACCOUNT = Account(master_url(str(FIRST)), ACCOUNT_KEY)
OTHER = Account(master_url(str(SECOND)), ACCOUNT_KEY)
# What somebody once set on the project's website: for these PCs it would mean never.
NEVER = (
    "<start_hour>24</start_hour><end_hour>0</end_hour><net_start_hour>24</net_start_hour><net_end_hour>0</net_end_hour>"
)
ON_THE_WEB = (
    "<run_on_batteries>0</run_on_batteries>\n<run_if_user_active>0</run_if_user_active>\n"
    "<suspend_if_no_recent_input>1</suspend_if_no_recent_input>\n<suspend_cpu_usage>1</suspend_cpu_usage>\n"
    "<max_ncpus_pct>1</max_ncpus_pct>\n<max_cpus>1</max_cpus>\n<cpu_usage_limit>1</cpu_usage_limit>\n"
    "<disk_max_used_gb>0.001</disk_max_used_gb>\n<disk_max_used_pct>0.001</disk_max_used_pct>\n"
    "<disk_min_free_gb>100000</disk_min_free_gb>\n<ram_max_used_busy_pct>0.1</ram_max_used_busy_pct>\n"
    "<ram_max_used_idle_pct>0.1</ram_max_used_idle_pct>\n<max_bytes_sec_down>1</max_bytes_sec_down>\n"
    "<max_bytes_sec_up>1</max_bytes_sec_up>\n<daily_xfer_limit_mb>0.001</daily_xfer_limit_mb>\n"
    f"<daily_xfer_period_days>1</daily_xfer_period_days>\n{NEVER}\n"
    + "".join(f"<day_prefs><day_of_week>{day}</day_of_week>{NEVER}</day_prefs>\n" for day in range(7))
)


class Office:
    """Two projects, one with https, a web proxy, and PCs."""

    def __init__(self, network: Network, directory: Path) -> None:
        self.network = network
        self.directory = directory
        self.first, self.second, self.secure = (
            RunningProject(host(network, f"project{a.packed[3]}", a), a, directory / f"project{a.packed[3]}")
            for a in (FIRST, SECOND, SECURE)
        )
        self.certificates: Certificates = issue(directory / "ca", SECURE)
        web = directory / "web-preferences.xml"
        web.write_text(ON_THE_WEB)
        jobs = ("--job-seconds", str(JOB_SECONDS))
        self.first.start(*jobs, "--web-preferences", str(web))
        self.second.start(*jobs)
        self.secure.start(*jobs, "--certificate", str(self.certificates.server))
        self.proxy_log = directory / "proxy.log"
        command = [sys.executable, "-m", "tests.fakes.web_proxy", "--address", str(PROXY), "--port", "3128"]
        host(network, "proxy", PROXY).start("the web proxy", command, self.proxy_log, CHECKOUT)
        self._pcs = 20

    def pc(self, settings: ClientSettings) -> Pc:
        """A PC that is switched on with these files."""
        self._pcs += 1
        address = IPv4Address(f"10.77.0.{self._pcs}")
        namespace = host(self.network, f"pc{self._pcs}", address)
        pc = Pc(namespace, address, self.directory, {"gui_rpc_auth.cfg": f"password-{self._pcs}\n".encode()})
        self.place(pc, settings)
        pc.power_on()
        return pc

    def place(self, pc: Pc, settings: ClientSettings) -> list[str]:
        """What the live system does with the files that the box sends; returns the names of those that changed."""
        script = self.directory / f"place-{pc.name}"
        text = PLACE.read_text().replace("/var/lib/boinc-client", str(pc.data))
        script.write_text(text)
        packed = archive(render(settings, pc.password), 731, 731)
        done = subprocess.run(["sh", str(script)], input=packed, capture_output=True, check=True)
        assert done.stderr == b""
        return done.stdout.decode().split()

    def renew(self, pc: Pc, settings: ClientSettings) -> list[str]:
        """The same while it runs, in the order of `boinc-files --renew`."""
        changed = self.place(pc, settings)
        pc.stop()
        self.place(pc, settings)
        pc.power_on()
        return changed


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with Network() as network:
        yield Office(network, tmp_path_factory.mktemp("boinc"))


def computes(pc: Pc, project: RunningProject) -> None:
    """Wait until the PC has reported a task of this project."""
    pc.waits_for(project.has_reported(pc), "to report its first job")


def messages(pc: Pc) -> str:
    return pc.boinccmd("--get_messages")


def tasks(pc: Pc) -> int:
    """How many the client has, of all projects."""
    return pc.boinccmd("--get_tasks").count("WU name: ")


def test_a_running_pc_gets_a_new_key_and_keeps_its_task(office: Office) -> None:
    """The account's password was changed, so its weak key is another one, and the project refuses the old one."""
    pc = office.pc(ClientSettings((OTHER,)))
    project = office.second
    pc.waits_for(lambda: pc.checkpoint >= 3 and "<active_task>" in pc.state, "to be in the middle of its job")
    project.change(account_key=NEW_KEY)
    pc.boinccmd("--project", OTHER.url, "update")
    pc.waits_for(lambda: "Invalid or missing account key" in messages(pc), "to say that its key is refused", 60)
    before = project.host(pc)
    assert office.renew(pc, ClientSettings((Account(OTHER.url, NEW_KEY),))) == ["account_10.77.0.4_fake.xml"]
    computes(pc, project)
    (result, *_) = project.results(pc)
    assert result.output
    assert result.output["total"] == JOB_SECONDS
    assert result.output["starts"] == 2
    assert result.output["resumed_from"] >= 3, "it went on from its checkpoint"
    assert project.host(pc).id == before.id
    assert not [each for each in project.status.results.values() if each.state == "detached"]
    project.change(account_key="")


def test_the_accounts_web_preferences_change_nothing(office: Office) -> None:
    pc = office.pc(ClientSettings((ACCOUNT,), preferences=Preferences(disk_max_used_gb=1)))
    computes(pc, office.first)
    assert "<day_of_week>" in (pc.data / "global_prefs.xml").read_text(), "the website's preferences have arrived"
    pc.waits_for(lambda: len(office.first.results(pc)) > 1, "to get its next job")
    assert "Suspending" not in messages(pc)


def test_without_our_preferences_the_same_account_computes_nothing(office: Office) -> None:
    """So the test above shows something."""
    settings = ClientSettings((ACCOUNT,))
    pc = office.pc(settings)
    (pc.data / "global_prefs_override.xml").write_text(
        "<global_preferences>\n<run_if_user_active>1</run_if_user_active>\n</global_preferences>\n"
    )
    pc.boinccmd("--read_global_prefs_override")
    pc.waits_for(lambda: "Suspending computation" in messages(pc), "to be suspended by the website")
    office.place(pc, settings)
    pc.boinccmd("--read_global_prefs_override")
    computes(pc, office.first)


def test_several_projects_and_one_that_somebody_added(office: Office) -> None:
    backup = Account(OTHER.url, OTHER.key, 0)
    pc = office.pc(ClientSettings((ACCOUNT,)))
    pc.waits_for(lambda: tasks(pc) == 1, "to get a job")
    pc.boinccmd("--project_attach", OTHER.url, OTHER.key)
    pc.waits_for(lambda: tasks(pc) == 2, "to get a job of the project that somebody added")
    half = Preferences(max_ncpus_pct=50)
    assert office.renew(pc, ClientSettings((ACCOUNT,), preferences=half)) == ["global_prefs_override.xml"]
    computes(pc, office.first)
    computes(pc, office.second)
    both = ClientSettings((ACCOUNT, backup), preferences=half)
    assert office.place(pc, both) == ["account_10.77.0.4_fake.xml"]
    assert "<resource_share>0<" in (pc.data / "account_10.77.0.4_fake.xml").read_text()


def test_the_share_of_the_website_wins_once_the_project_was_reached(office: Office) -> None:
    """Only an account manager can set another one for single PCs: docs/operations.md says so."""
    pc = office.pc(ClientSettings((Account(OTHER.url, OTHER.key, 7),)))
    pc.waits_for(lambda: "resource share: 7.0" in pc.boinccmd("--get_project_status"), "to have our share", 60)
    pc.waits_for(lambda: "resource share: 100.0" in pc.boinccmd("--get_project_status"), "to have the website's")


def test_an_account_manager_names_the_projects(office: Office) -> None:
    office.second.change(managed=(ManagedAccount(OTHER.url, OTHER.key, resource_share=42.0),))
    url = f"http://{SECOND}/am/"
    pc = office.pc(ClientSettings(manager=AccountManager(url, LOGIN, PASSWORD_HASH)))
    computes(pc, office.second)
    assert "resource share: 42.0" in pc.boinccmd("--get_project_status")
    before = (pc.data / "acct_mgr_url.xml").read_text()
    assert "<signing_key>" in before
    office.renew(pc, ClientSettings(manager=AccountManager(url, LOGIN, PASSWORD_HASH)))
    assert (pc.data / "acct_mgr_url.xml").read_text() == before


def test_https_with_certificates_of_the_office_through_its_proxy(office: Office) -> None:
    account = Account(master_url(str(SECURE), scheme="https"), ACCOUNT_KEY)
    ca = office.certificates.authority.read_text()
    pc = office.pc(ClientSettings((account,), proxy=Proxy(str(PROXY), 3128, exceptions=(str(FIRST),)), ca=ca))
    computes(pc, office.secure)
    asked = office.proxy_log.read_text()
    assert f"CONNECT {SECURE}:443" in asked
    pc.boinccmd("--project_attach", ACCOUNT.url, ACCOUNT.key)
    pc.waits_for(lambda: bool(office.first.results(pc)), "to get a job past the proxy")
    assert str(FIRST) not in office.proxy_log.read_text()


def test_the_client_understands_every_line(office: Office) -> None:
    settings = ClientSettings((ACCOUNT,), proxy=Proxy(str(PROXY), 3128, "me", "secret", (str(FIRST),)), ca="")
    pc = office.pc(settings)
    pc.waits_for(lambda: "Initialization completed" in pc.log.read_text(), "to start")
    log = pc.log.read_text()
    assert f"Using HTTP proxy {PROXY}:3128" in log
    assert "Config: report completed tasks immediately" in log
    assert "Unrecognized" not in log
    assert "Unparsed" not in log


def online(namespace: Namespace, directory: Path, text: str) -> dict[str, str]:
    """What `config check --online` says of the one project, or of the account manager."""
    config = directory / "online.toml"
    config.write_text(f'[server]\ndata = "{directory}/none"\ninterfaces = ["eth0"]\n{text}')
    program = Path(sys.executable).with_name("netboot-appliance")
    command = shlex.join([str(program), "--config", str(config), "config", "check", "--online", "--json"])
    done = namespace.run(["sh", "-c", command], check=False)
    (answer,) = json.loads(done.stdout)["projects"]
    assert ACCOUNT_KEY not in done.stdout + done.stderr
    return dict(answer)


def test_the_box_asks_the_projects_as_the_pcs_would(office: Office) -> None:
    box = host(office.network, "box", IPv4Address("10.77.0.9"))
    ca = office.certificates.authority
    secure = f'[project]\nurl = "https://{SECURE}/fake/"\naccount_key = "{ACCOUNT_KEY}"\n'

    def ask(text: str) -> dict[str, str]:
        return online(box, office.directory, text)

    assert "its certificate is not trusted" in ask(secure)["problem"]
    trusted = f'{secure}[boinc]\nca_file = "{ca}"\nproxy = "http://{PROXY}:3128"\n'
    assert (ask(trusted)["key"], ask(trusted)["problem"]) == ("accepted", "")
    assert office.proxy_log.read_text().count(f"CONNECT {SECURE}:443") > 1
    refused = ask(f'[project]\nurl = "{OTHER.url}"\naccount_key = "{NEW_KEY}"\n')
    assert refused["key"] == "refused"
    manager = f'[account_manager]\nurl = "http://{SECOND}/am/"\nname = "{LOGIN}"\nlogin_hash = "{PASSWORD_HASH}"\n'
    assert ask(manager)["key"] == "accepted"
    assert ask(manager.replace(PASSWORD_HASH, "0" * 32))["key"] == "refused"
    assert "not reachable" in ask('[project]\nurl = "http://10.77.0.99/"\naccount_key = "x"\n')["problem"]
