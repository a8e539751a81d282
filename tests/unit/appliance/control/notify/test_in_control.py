"""The real `netboot-appliance control`: it delivers what waits, and an address that hangs does not keep it from
stopping."""

import signal
import subprocess
import threading
import time
from pathlib import Path

from appliance.config.file import load
from appliance.control.notify import outbox
from appliance.control.notify.notices import Notice
from appliance.control.notify.outbox import SENT
from appliance.control.notify.rules import RuleName
from appliance.registry.database import Registry
from tests.unit.appliance.cli.program import PROGRAM
from tests.unit.appliance.control.notify.servers import mail_server, webhook
from tests.unit.ports import free_port

TEXT = """
[server]
data = "{data}"
[control]
listen = "127.0.0.1:{page}"
behind_proxy = true
networks = ["127.0.0.0/8"]
[notify]
addresses = ["admin@example.org", "{hook}"]
[notify.mail]
host = "127.0.0.1"
port = {mail}
encryption = "none"
"""


def test_the_control_process_delivers_and_stops(tmp_path: Path) -> None:
    hangs, release = threading.Event(), threading.Event()

    def answer(_: object) -> int:
        hangs.set()
        release.wait(60)
        return 200

    with mail_server() as mail, webhook() as hook:
        hook.answer = answer
        path = tmp_path / "c.toml"
        path.write_text(TEXT.format(data=tmp_path, page=free_port(), hook=hook.url, mail=mail.port))
        config = load(path)
        with Registry(config.registry) as registry, registry.transaction():
            told = Notice(RuleName.DISK, "warning", "[boot] The disk is 95 % full", "Do: make room")
            outbox._add(registry, told, config.notify.targets, time.time())
        line = [str(PROGRAM), "--config", str(path), "control"]
        with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                assert hangs.wait(30)
                end = time.monotonic() + 30
                while not _is_sent(config.registry):
                    assert time.monotonic() < end
                    time.sleep(0.05)
                process.send_signal(signal.SIGTERM)
                assert process.wait(20) == 0
            finally:
                process.kill()
                release.set()
    assert [each["Subject"] for each in mail.taken] == ["[boot] The disk is 95 % full"]


def _is_sent(path: Path) -> bool:
    with Registry(path) as registry:
        ((_, found),) = outbox.recent(registry, 1)
    return SENT in {each.result for each in found}
