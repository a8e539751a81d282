"""What Prometheus reads, and what watches processes reads."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from appliance.config.file import load
from appliance.control.app import create_app
from appliance.control.context import Context
from appliance.registry.database import Registry
from tests.unit.appliance.control.box_of_pcs import NOW, RELEASE, BoxOfPcs

DASHBOARD = Path(__file__).parents[5] / "docs" / "grafana" / "netboot-appliance.json"
COUNTERS = {
    "events": {"Discovered": 5, "Offered": 4},
    "ignored": [["dhcp", "its MAC address is not in the allowlist", 7]],
    "transfers": [["http", "served", 3], ["tftp", "failed", 1]],
    "bytes": {"http": 1000, "tftp": 10},
    "heartbeats": 12,
}


def scrape(box: BoxOfPcs) -> Mapping[str, float]:
    """Each sample by its name with its labels."""
    answer = box.ask("/metrics")
    assert answer.status_code == 200
    return {
        f"{sample.name}{json.dumps(sample.labels, sort_keys=True) if sample.labels else ''}": sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


@contextmanager
def holding(box: BoxOfPcs) -> Iterator[None]:
    """While a process stands for `serve`: the kernel tells nobody of locks of their own."""
    program = (
        "import sys; from pathlib import Path; from appliance.registry.server_lock import only_server\n"
        "with only_server(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(box.registry)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
        process.communicate(timeout=20)


def with_server(box: BoxOfPcs) -> Mapping[str, float]:
    """What is told while a server runs."""
    with Registry(box.registry) as registry:
        registry.set_server("started", NOW - 60)
        registry.set_server("counters", COUNTERS)
        registry.set_server("heartbeats_lost", 2)
    with holding(box):
        return scrape(box)


def test_pcs_tasks_credit_and_image(filled: BoxOfPcs) -> None:
    found = scrape(filled)
    fleet = filled.ask("/api/v1/fleet").json()
    for state, count in fleet["states"].items():
        assert found[f'netboot_appliance_pcs{{"state": "{state}"}}'] == count
    assert found["netboot_appliance_pcs_on"] == fleet["on"]
    assert found["netboot_appliance_pcs_stuck"] == fleet["stuck"]
    assert found['netboot_appliance_tasks{"state": "running"}'] > 70
    assert found['netboot_appliance_tasks{"state": "suspended"}'] > 0
    assert found['netboot_appliance_credit{"project": "https://project.example.org"}'] > 1000
    assert [name for name in found if name.startswith("netboot_appliance_image_info") and RELEASE in name]
    assert found["netboot_appliance_disk_free_bytes"] > 0
    assert sum(n for name, n in found.items() if name.startswith("netboot_appliance_latest_boots")) == 80


def test_what_the_server_counted(own: BoxOfPcs) -> None:
    assert scrape(own)["netboot_appliance_serving"] == 0
    found = with_server(own)
    assert found["netboot_appliance_serving"] == 1
    assert found["netboot_appliance_serve_start_time_seconds"] == NOW - 60
    assert found['netboot_appliance_events_total{"kind": "Offered"}'] == 4
    ignored = '{"reason": "its MAC address is not in the allowlist", "service": "dhcp"}'
    assert found[f"netboot_appliance_ignored_total{ignored}"] == 7
    assert found['netboot_appliance_transfers_total{"result": "failed", "service": "tftp"}'] == 1
    assert found['netboot_appliance_transfer_bytes_total{"service": "http"}'] == 1000
    assert found["netboot_appliance_heartbeats_total"] == 12
    assert found["netboot_appliance_heartbeats_lost_total"] == 2


def test_a_request_is_counted_by_its_route_and_not_by_what_it_asks_for(own: BoxOfPcs) -> None:
    for number in range(40):
        own.ask(f"/api/v1/pcs/5254000000{number:02x}")
        own.ask(f"/made-up/{number}")
        own.ask("/healthz", f"METHOD{number}")
    series = {name for name in scrape(own) if name.startswith("netboot_appliance_control_request_seconds_count")}
    assert any('"route": "/api/v1/pcs/{mac}"' in name for name in series)
    assert len(series) < 10


def test_what_pcs_make_up_gets_no_series_of_its_own(own: BoxOfPcs) -> None:
    with Registry(own.registry) as registry:
        for number, (mac, boinc) in enumerate(registry.sql.execute("SELECT mac, boinc FROM heartbeats").fetchall()):
            value = json.loads(boinc)
            for task in value["tasks"]:
                task[2] = f"a state of {number}"
            for project in value["projects"]:
                project[0] = f"https://{number}.example.net/"
            registry.sql.execute("UPDATE heartbeats SET boinc = ? WHERE mac = ?", (json.dumps(value), mac))
        registry.sql.execute("UPDATE heartbeats SET boinc = '[1, 2' WHERE mac = (SELECT max(mac) FROM heartbeats)")
    found = scrape(own)
    assert found['netboot_appliance_tasks{"state": "(other)"}'] > 8
    assert [name for name in found if "example.net" in name or "a state of" in name] == []
    assert found['netboot_appliance_credit{"project": "(other)"}'] > 0


def test_series_of_each_pc_are_a_setting(own: BoxOfPcs) -> None:
    assert not [name for name in scrape(own) if "netboot_appliance_pc_" in name]
    text = own.config.path.read_text().replace("[control]", "[control]\nmetrics_per_pc = true")
    own.config.path.write_text(text)
    app = create_app(Context(own.config.path, load(own.config.path), lambda: NOW, names=("box",)))

    async def ask() -> str:
        async with app.router.lifespan_context(app):
            transport, headers = httpx.ASGITransport(app), {"Authorization": f"Bearer {own.reader}"}
            async with httpx.AsyncClient(transport=transport, base_url="https://box", headers=headers) as client:
                return (await client.get("/metrics")).text

    text = asyncio.run(ask())
    assert text.count("netboot_appliance_pc_state{") == 8
    assert 'netboot_appliance_pc_heard_timestamp_seconds{label="room 1",mac="52:54:00:00:00:01"}' in text


def test_prometheus_gets_the_format_that_it_asks_for(filled: BoxOfPcs) -> None:
    answer = filled.ask("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = list(openmetrics.text_string_to_metric_families(answer.text))  # type: ignore[no-untyped-call]
    assert len(families) > 30
    assert filled.ask("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")


def test_the_metrics_are_for_viewers_and_have_no_secret(own: BoxOfPcs) -> None:
    assert own.ask("/metrics", token="").status_code == 401
    text = own.ask("/metrics").text
    assert not [secret for secret in own.secrets() if secret in text]


def test_alive_and_ready_need_no_token(own: BoxOfPcs) -> None:
    assert own.ask("/healthz", token="").json() == {"status": "ok"}
    with holding(own):
        assert own.ask("/readyz", token="").json()["status"] == "ok"


@pytest.mark.parametrize(
    ("broken", "checks"),
    [
        ("serve", {"registry": "ok", "serve": "it does not run", "image": "ok"}),
        ("image", {"registry": "ok", "serve": "it does not run", "image": "the active one is broken"}),
        ("none", {"registry": "ok", "serve": "it does not run", "image": "none is active"}),
        ("registry", {"registry": "it cannot be read", "serve": "nobody knows", "image": "ok"}),
    ],
)
def test_not_ready_says_what_is_wrong_and_no_path(own: BoxOfPcs, broken: str, checks: dict[str, str]) -> None:
    if broken == "image":
        (own.config.images / RELEASE / "vmlinuz").unlink()
    elif broken == "none":
        (own.config.images / "current").unlink()
    elif broken == "registry":
        own.registry.write_bytes(b"no database at all" * 1000)
    answer = own.ask("/readyz", token="")
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready", "checks": checks})
    assert own.ask("/healthz", token="").status_code == 200


def test_the_dashboard_asks_for_what_there_is(own: BoxOfPcs) -> None:
    own.ask("/healthz")
    names = {name.partition("{")[0] for name in with_server(own)}
    dashboard = json.loads(DASHBOARD.read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    asked = {name for panel in panels for each in panel["targets"] for name in re.findall(r"netboot_\w+", each["expr"])}
    asked |= set(re.findall(r"netboot_\w+", json.dumps(dashboard["templating"])))
    assert asked <= names
    assert len(asked) > 25
    for panel in panels:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
        assert {each["datasource"]["uid"] for each in panel["targets"]} == {"${datasource}"}
        assert all('instance=~"$instance"' in each["expr"] for each in panel["targets"])
