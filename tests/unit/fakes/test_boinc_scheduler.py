"""The fake project decides as the real scheduler does: which host is which, and what clients are told."""

import hashlib
import os
import re
from pathlib import Path

import pytest

from tests.fakes import boinc_control
from tests.fakes.boinc_control import Weather
from tests.fakes.boinc_scheduler import ACCOUNT_KEY, Project
from tests.fakes.boinc_signing import EXPONENT, SIZE, SigningKey

UPLOADED = 5
COMPUTE_ERROR = 3


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, "http://192.0.2.3/fake/", lambda line: None)


def request(
    name: str = "debian",
    ip: str = "127.0.1.1",
    *,
    hostid: int = 0,
    seqno: int = 0,
    cpid: str = "",
    key: str = ACCOUNT_KEY,
    work: float = 1.0,
    on_host: str = "",
    reports: tuple[str, int] | None = None,
    cpus: int = 4,
    preferences: str = "",
) -> str:
    parts = [f"<authenticator>{key}</authenticator><hostid>{hostid}</hostid><rpc_seqno>{seqno}</rpc_seqno>"]
    parts.append(f"<work_req_seconds>{work}</work_req_seconds>")
    parts.append(f"<host_info><domain_name>{name}</domain_name><ip_addr>{ip}</ip_addr><host_cpid>{cpid}</host_cpid>")
    parts.append(f"<p_ncpus>{cpus}</p_ncpus><p_vendor>Intel</p_vendor><p_model>i5</p_model><m_nbytes>8e9</m_nbytes>")
    parts.append(f"<os_name>Linux</os_name><os_version>12</os_version></host_info>{preferences}")
    if on_host:
        parts.append(f"<other_results><other_result>\n<name>{on_host}</name></other_result></other_results>")
    if reports:
        parts.append(f"<result>\n<name>{reports[0]}</name><state>{reports[1]}</state></result>")
    return f"<scheduler_request>{''.join(parts)}</scheduler_request>"


def assigned(reply: str) -> int | None:
    match = re.search(r"<hostid>(\d+)</hostid>", reply)
    return int(match[1]) if match else None


def jobs(reply: str) -> list[str]:
    return re.findall(r"<result>\s*<name>(.*?)</name>", reply)


def aborted(reply: str) -> list[str]:
    return re.findall(r"<result_abort>\s*<name>(.*?)</name>", reply)


def messages(reply: str) -> list[tuple[str, str]]:
    return re.findall(r'<message priority="(\w+)">(.*?)</message>', reply)


def states(project: Project) -> dict[str, str]:
    return {result.name: result.state for result in project.status.results.values()}


def test_a_host_that_knows_its_id_keeps_it_and_is_not_sent_it_again(project: Project) -> None:
    assert assigned(project.schedule(request("a", "192.0.2.21"))) == 1
    assert assigned(project.schedule(request("a", "192.0.2.99", hostid=1, seqno=1))) is None
    assert [host.id for host in project.status.hosts.values()] == [1]
    assert project.status.hosts[1].rpc_count == 2


def test_identical_hosts_are_merged_and_lose_their_jobs(project: Project) -> None:
    assert assigned(project.schedule(request(cpid="a"))) == 1
    assert assigned(project.schedule(request(cpid="b"))) == 1
    assert states(project) == {"count_host1_1": "detached", "count_host1_2": "sent"}


def test_a_different_name_or_address_makes_a_new_host(project: Project) -> None:
    for index, (name, ip) in enumerate((("a", "192.0.2.21"), ("b", "192.0.2.21"), ("a", "192.0.2.22")), 1):
        assert assigned(project.schedule(request(name, ip))) == index
    assert set(states(project).values()) == {"sent"}


def test_a_lost_state_is_found_again_by_the_cpid_and_its_jobs_are_lost(project: Project) -> None:
    project.schedule(request("a", "192.0.2.21", cpid="a"))
    assert assigned(project.schedule(request("b", "192.0.2.22", cpid="a"))) == 1
    assert states(project)["count_host1_1"] == "detached"


def test_a_copied_state_makes_a_new_host(project: Project) -> None:
    project.schedule(request("a", "192.0.2.21"))
    project.schedule(request("a", "192.0.2.21", hostid=1, seqno=5))
    assert assigned(project.schedule(request("b", "192.0.2.22", hostid=1, seqno=3))) == 2


def test_an_old_state_that_was_restored_is_the_same_host_with_its_jobs(project: Project) -> None:
    (job,) = jobs(project.schedule(request("a", "192.0.2.21")))
    project.schedule(request("a", "192.0.2.21", hostid=1, seqno=5, on_host=job))
    reply = project.schedule(request("a", "192.0.2.21", hostid=1, seqno=3, on_host=job))
    assert assigned(reply) == 1
    assert aborted(reply) == []
    assert states(project) == {job: "sent"}


def test_a_copied_state_aborts_the_jobs_that_came_with_it(project: Project) -> None:
    (job,) = jobs(project.schedule(request("a", "192.0.2.21")))
    project.schedule(request("a", "192.0.2.21", hostid=1, seqno=5, on_host=job))
    reply = project.schedule(request("b", "192.0.2.22", hostid=1, seqno=3, on_host=job))
    assert assigned(reply) == 2
    assert aborted(reply) == [job]
    assert ("low", f"Result {job} is no longer usable") in messages(reply)
    assert states(project)[job] == "sent"


def test_a_computer_with_the_cpid_of_an_obviously_different_one_is_new(project: Project) -> None:
    project.schedule(request("a", "192.0.2.21", cpid="a"))
    assert assigned(project.schedule(request("b", "192.0.2.22", cpid="a", cpus=8))) == 2
    assert states(project)["count_host1_1"] == "sent"


def test_an_unknown_id_is_replaced(project: Project) -> None:
    assert assigned(project.schedule(request(hostid=7, seqno=3))) == 1


def test_a_wrong_key_gets_a_message_that_no_user_is_shown_and_no_host(project: Project) -> None:
    reply = project.schedule(request(key="wrong"))
    assert messages(reply) == [("low", "Invalid or missing account key.  To fix, remove and add this project .")]
    assert "<request_delay>3600.0" in reply
    assert "<project_preferences>" not in reply
    assert not project.status.hosts
    assert not jobs(reply)


def test_a_key_that_has_changed_is_a_notice_to_the_hosts_that_have_joined_and_the_new_one_keeps_them(
    project: Project, tmp_path: Path
) -> None:
    (job,) = jobs(project.schedule(request()))
    boinc_control.change(tmp_path, account_key="1_new")
    reply = project.schedule(request(hostid=1, seqno=1, on_host=job))
    assert messages(reply) == [("notice", "Invalid or missing account key.  To fix, remove and add this project.")]
    assert "<request_delay>3600.0" in reply
    reply = project.schedule(request(hostid=1, seqno=2, on_host=job, key="1_new"))
    assert (assigned(reply), aborted(reply), messages(reply)) == (None, [], [])
    assert states(project) == {job: "sent"}


def test_maintenance_sends_clients_away_for_an_hour(project: Project, tmp_path: Path) -> None:
    boinc_control.change(tmp_path, weather=Weather.MAINTENANCE)
    reply = project.schedule(request())
    assert "<project_is_down/>" in reply
    assert "<request_delay>3600.0" in reply
    assert not project.status.hosts


def test_every_reply_has_the_projects_preferences_the_venue_and_the_pages(project: Project, tmp_path: Path) -> None:
    boinc_control.change(tmp_path, venue="work")
    for seqno in range(2):
        reply = project.schedule(request(hostid=seqno, seqno=seqno, work=0))
        for part in ("<resource_share>100<", "<host_venue>work<", "<gui_url>", "<request_delay>7.0"):
            assert part in reply


def test_the_webs_preferences_are_sent_to_clients_that_have_older_ones(tmp_path: Path) -> None:
    file = tmp_path / "preferences"
    file.write_text("<start_hour>3</start_hour>\n")
    os.utime(file, (1000, 1000))
    project = Project(tmp_path, "http://192.0.2.3/fake/", lambda line: None, web_preferences=file)

    def sent(mine: int, working: int) -> bool:
        known = f"<global_preferences><mod_time>{mine}</mod_time></global_preferences>"
        worked_with = f"<global_preferences><mod_time>{working}</mod_time></global_preferences>"
        said = f"<working_global_preferences>{worked_with}</working_global_preferences>{known}"
        return "<start_hour>3</start_hour>" in project.schedule(request(preferences=said))

    assert "<mod_time>1000</mod_time>\n<start_hour>3<" in project.schedule(request())
    assert sent(0, 0)
    assert sent(999, 999)
    assert not sent(1000, 0)
    assert not sent(0, 1000)
    os.utime(file, (1001, 1001))
    assert sent(1000, 1000)


def test_a_cancelled_job_is_aborted_and_followed_by_another(project: Project, tmp_path: Path) -> None:
    (job,) = jobs(project.schedule(request()))
    assert aborted(project.schedule(request(hostid=1, seqno=1, on_host=job))) == []
    boinc_control.change(tmp_path, cancelled=(job,))
    reply = project.schedule(request(hostid=1, seqno=2, on_host=job))
    assert aborted(reply) == [job]
    assert jobs(reply) == ["count_host1_2"]


def test_a_job_is_acknowledged_and_followed_by_the_next(project: Project) -> None:
    (first,) = jobs(project.schedule(request()))
    assert jobs(project.schedule(request(hostid=1, seqno=1, on_host=first))) == []
    upload = f"<file_info><name>{first}_output</name></file_info><nbytes>20</nbytes><data>\ntotal=15\nstarts=2\n\n"
    assert "<status>0</status>" in project.upload(upload.encode())
    assert project.status.results[first].output == {"total": 15, "starts": 2}
    reply = project.schedule(request(hostid=1, seqno=2, reports=(first, UPLOADED)))
    assert f"<result_ack>\n<name>{first}</name>\n</result_ack>" in reply
    assert states(project)[first] == "reported"
    assert jobs(reply) == ["count_host1_2"]


def test_a_job_that_never_arrived_is_sent_again_only_by_projects_that_want_to(project: Project, tmp_path: Path) -> None:
    (first,) = jobs(project.schedule(request()))
    assert jobs(project.schedule(request(hostid=1, seqno=1))) == ["count_host1_2"]
    kind = Project(tmp_path / "kind", project.url, lambda line: None, resend_lost_jobs=True)
    assert jobs(kind.schedule(request())) == jobs(kind.schedule(request(hostid=1, seqno=1))) == [first]


def test_a_failed_job_is_distinguished_from_a_good_one(project: Project) -> None:
    (first,) = jobs(project.schedule(request()))
    project.schedule(request(hostid=1, seqno=1, reports=(first, COMPUTE_ERROR)))
    assert states(project)[first] == "failed"


def test_no_more_jobs_than_asked_for(tmp_path: Path) -> None:
    project = Project(tmp_path, "http://192.0.2.3/fake/", lambda line: None, jobs_per_host=1)
    assert jobs(project.schedule(request(work=0))) == []
    (first,) = jobs(project.schedule(request(hostid=1, seqno=1)))
    assert jobs(project.schedule(request(hostid=1, seqno=2, reports=(first, UPLOADED)))) == []


def test_a_project_that_starts_again_remembers_hosts_jobs_and_key(project: Project, tmp_path: Path) -> None:
    project.schedule(request())
    again = Project(tmp_path, project.url, lambda line: None)
    assert again.status == project.status
    assert again.schedule(request(hostid=1, seqno=1)).count("<app_version>") == 1
    key = re.search(r"<code_sign_key>\n(.*)</code_sign_key>", again.schedule(request(hostid=1, seqno=2)), re.DOTALL)
    assert key
    known = request(hostid=1, seqno=3).replace("<host_info>", f"{key[0]}<host_info>")
    assert "<code_sign_key>" not in project.schedule(known)


def test_a_signature_is_that_of_the_files_md5() -> None:
    key = SigningKey.generate()
    signature = int(key.sign(b"content").replace("\n", "").rstrip("."), 16)
    block = pow(signature, EXPONENT, key.modulus).to_bytes(SIZE, "big")
    assert block.startswith(b"\x00\x01\xff\xff")
    assert block.rpartition(b"\xff\x00")[2] == hashlib.md5(b"content").hexdigest().encode()
    assert key.public_text().split()[0] == "1024"
