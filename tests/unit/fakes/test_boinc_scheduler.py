"""The fake project tells hosts apart as the real scheduler does; tests of the product rest on that."""

import hashlib
import re
from pathlib import Path

import pytest

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
) -> str:
    parts = [f"<authenticator>{key}</authenticator><hostid>{hostid}</hostid><rpc_seqno>{seqno}</rpc_seqno>"]
    parts.append(f"<work_req_seconds>{work}</work_req_seconds>")
    parts.append(f"<host_info><domain_name>{name}</domain_name><ip_addr>{ip}</ip_addr><host_cpid>{cpid}</host_cpid>")
    parts.append("<p_model>i5</p_model><m_nbytes>8e9</m_nbytes><os_name>Linux</os_name></host_info>")
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


def test_an_unknown_id_is_replaced(project: Project) -> None:
    assert assigned(project.schedule(request(hostid=7, seqno=3))) == 1


def test_a_wrong_key_gets_a_message_and_no_host(project: Project) -> None:
    reply = project.schedule(request(key="wrong"))
    assert "Invalid or missing account key" in reply
    assert not project.status.hosts
    assert not jobs(reply)


def test_a_job_is_acknowledged_and_followed_by_the_next(project: Project) -> None:
    (first,) = jobs(project.schedule(request()))
    assert jobs(project.schedule(request(hostid=1, seqno=1, on_host=first))) == []
    upload = f"<file_info><name>{first}_output</name></file_info><nbytes>20</nbytes><data>\ntotal=15\nstarts=2\n\n"
    assert "<status>0</status>" in project.upload(upload.encode())
    assert project.status.results[first].output == {"total": 15, "starts": 2}
    reply = project.schedule(request(hostid=1, seqno=2, reports=(first, UPLOADED)))
    assert f"<result_ack><name>{first}</name></result_ack>" in reply
    assert states(project)[first] == "reported"
    assert jobs(reply) == ["count_host1_2"]


def test_a_job_that_never_arrived_is_sent_again(project: Project) -> None:
    (first,) = jobs(project.schedule(request()))
    assert jobs(project.schedule(request(hostid=1, seqno=1))) == [first]


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
