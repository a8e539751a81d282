"""The fake project as clients meet it on a socket: served, away, slow, in maintenance, redirecting to https."""

import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from tests.fakes import boinc_control, boinc_project
from tests.fakes.boinc_control import Weather
from tests.fakes.boinc_project import Project, ProjectServer, master_url


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ProjectServer]:
    with ProjectServer("127.0.0.1", 0, Project(tmp_path, master_url("127.0.0.1"), lambda line: None)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server: ProjectServer, method: str = "GET", path: str = "/fake/", body: str = "") -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_pages_the_scheduler_and_the_manager_are_served(server: ProjectServer) -> None:
    assert b"boinc_scheduler" in get(server)[1]
    assert b"<scheduler_reply>" in get(server, "POST", "/fake/cgi", "<authenticator>wrong</authenticator>")[1]
    assert b"<acct_mgr_reply>" in get(server, "POST", "/am/rpc.php", "<acct_mgr_request/>")[1]
    assert get(server, "POST", "/fake/other", "")[0] == 404


def test_a_project_that_is_not_available_says_so_and_does_nothing(server: ProjectServer, tmp_path: Path) -> None:
    boinc_control.change(tmp_path, weather=Weather.UNAVAILABLE)
    asked = f"<authenticator>{boinc_project.ACCOUNT_KEY}</authenticator><host_info></host_info>"
    assert get(server, "POST", "/fake/cgi", asked)[0] == 503
    assert get(server)[0] == 503
    assert server.project.status.hosts == {}
    boinc_control.change(tmp_path, weather=Weather.UP)
    assert get(server, "POST", "/fake/cgi", asked)[0] == 200
    assert len(server.project.status.hosts) == 1


def test_a_project_that_refuses_ends_the_connections_that_are_open(server: ProjectServer, tmp_path: Path) -> None:
    boinc_control.change(tmp_path, weather=Weather.REFUSING)
    with pytest.raises((HTTPException, ConnectionError)):
        get(server)


def test_a_slow_project_answers_late(server: ProjectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boinc_project, "SLOW_SECONDS", 0.3)
    boinc_control.change(tmp_path, weather=Weather.SLOW)
    begun = time.monotonic()
    assert get(server)[0] == 200
    assert time.monotonic() - begun >= 0.3


def test_what_a_test_does_not_change_stays(tmp_path: Path) -> None:
    boinc_control.change(tmp_path, account_key="1_new")
    boinc_control.change(tmp_path, weather=Weather.SLOW)
    assert boinc_control.read(tmp_path).account_key == "1_new"
    assert boinc_control.read(tmp_path).weather is Weather.SLOW
