"""What a PC says in its heartbeats is what `status`, `clients show` and `order` show beside the running server."""

import json
from pathlib import Path

from tests.netns.attacked_box import TIMEOUT, AttackedBox
from tests.room.processes import wait_until

REPLIES = Path(__file__).parents[1] / "unit" / "services" / "boinc" / "replies"
COMPUTING, REFUSED = ((REPLIES / f"{name}.xml").read_bytes() for name in ("computing", "refused"))
HEAD = b"uptime=61\nboinc=running\ntemperature=57\n"


def test_from_a_heartbeat_to_the_words_on_the_terminal(attacked: AttackedBox) -> None:
    pc = attacked.pc(420)
    token, mac = pc.script().token, str(pc.mac)

    def words() -> str:
        return str(attacked.boot(pc.mac)["now"]["words"])

    assert words() == "booting: script"
    assert pc.heartbeat(token, HEAD + b"\n" + COMPUTING)[0] == 200
    wait_until(lambda: words() == "computing 1 task", TIMEOUT, "the state", 0.2)
    assert attacked.status()["pcs"]["states"]["computing"] == 1
    shown = json.loads(attacked.verb("clients", "show", mac, "--json").stdout)
    assert [task["name"] for task in shown["boinc"]["tasks"]] == ["count_host1_1"]
    assert shown["facts"]["temperature"] == "57"

    (given,) = json.loads(attacked.verb("order", mac, "update", "--json").stdout)
    assert (given["on"], given["state"]) == (True, "computing 1 task")
    # Some of these are refused: a PC may send one every ten seconds.
    wait_until(
        lambda: pc.heartbeat(token, HEAD + b"\n" + REFUSED)[2] == [f"{given['id']} update"], TIMEOUT, "the order", 0.5
    )
    ended = HEAD + b"order=%d done\n\n" % given["id"] + REFUSED
    wait_until(lambda: pc.heartbeat(token, ended)[::2] == (200, []), TIMEOUT, "a reply without the order", 0.5)

    def result() -> str:
        (order,) = json.loads(attacked.verb("clients", "show", mac, "--json").stdout)["orders"]
        return str(order["result"])

    wait_until(lambda: result() == "done", TIMEOUT, "the result", 0.2)
    assert words().startswith("idle for ")
    assert "the project refuses the account key" in words()
    messages = json.loads(attacked.verb("clients", "show", mac, "--json").stdout)["boinc"]["messages"]
    assert any(each["text"].startswith("Message from server: Invalid or missing account key") for each in messages)
    assert attacked.verb("order", mac, "off", check=False).returncode == 0
    assert attacked.verb("order", "cancel", mac).returncode == 0
