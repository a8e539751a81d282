"""`config` as its user types it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.unit.appliance.cli.program import Run


def test_config_show_hides_the_account_key(run: Run, tmp_path: Path) -> None:
    with (tmp_path / "c.toml").open("a") as file:
        file.write('[project]\nurl = "https://project.example.org/"\naccount_key = "secret123"\n')
    done = run("config", "show")
    assert json.loads(done.stdout)["project"]["url"] == "https://project.example.org/"
    assert "secret123" not in done.stdout


def test_config_init_never_overwrites(run: Run, tmp_path: Path) -> None:
    before = (tmp_path / "c.toml").read_text()
    done = run("config", "init", "--interface", "nosuch0")
    assert (done.returncode, (tmp_path / "c.toml").read_text()) == (2, before)
    assert "nosuch0" in done.stderr


PROJECTS = """
[[projects]]
url = "https://a.example/"
account_key = "1_secret"
for = ["52:54:00:*", "room 12"]

[[boinc.exceptions]]
for = ["library"]
max_ncpus_pct = 50
"""


def test_config_check_notes_ranges_and_labels_that_match_nobody(run: Run, tmp_path: Path) -> None:
    with (tmp_path / "c.toml").open("a") as file:
        file.write(PROJECTS)
    assert "note: " not in run("config", "check").stderr, "without a registry there is nothing to compare with"
    run("allow", "add", "52:54:00:aa:bb:cc", "--label", "library")
    done = run("config", "check")
    assert 'note: [[projects]] for "room 12": nobody in the allowlist has that label\n' in done.stderr
    assert "52:54:00:*" not in done.stderr
    run("allow", "remove", "52:54:00:aa:bb:cc")
    run("allow", "add", "00:11:22:33:44:55", "--label", "room 12")
    notes = json.loads(run("config", "check", "--json").stdout)["notes"]
    assert notes == [
        '[[projects]] for "52:54:00:*": no PC of that range is allowed',
        '[[boinc.exceptions]] for "library": nobody in the allowlist has that label',
    ]


def test_config_check_notes_a_canary_for_nobody(run: Run, tmp_path: Path) -> None:
    with (tmp_path / "c.toml").open("a") as file:
        file.write('[image]\ncanary = "room 13"\n')
    run("allow", "add", "52:54:00:aa:bb:cc", "--label", "room 12")
    assert "note: [image] canary: 'room 13' is no label" in run("config", "check").stderr


class Project(BaseHTTPRequestHandler):
    """A project on the loopback interface that refuses every key."""

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        self._send("<project_config><name>Here</name></project_config>\n<link rel='boinc_scheduler' href='/cgi'>\n")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send("<scheduler_reply><message>Invalid or missing account key.</message></scheduler_reply>\n")

    def _send(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


def test_config_check_asks_the_projects(run: Run, tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Project)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/"
    with (tmp_path / "c.toml").open("a") as file:
        file.write(f'[project]\nurl = "{url}"\naccount_key = "1_{"0" * 31}1"\n')
    done, as_json = run("config", "check", "--online"), run("config", "check", "--online", "--json")
    server.shutdown()
    thread.join()
    server.server_close()
    assert done.returncode != 0
    assert f"online    {url} (Here): the key is refused: Invalid or missing account key.\n" in done.stdout
    assert f"take the present one from {url}weak_auth.php" in done.stdout
    (answer,) = json.loads(as_json.stdout)["projects"]
    assert (answer["url"], answer["key"]) == (url, "refused")
    assert "0" * 31 not in done.stdout + done.stderr + as_json.stdout
    assert "not reachable: refuses the connection" in run("config", "check", "--online").stdout
