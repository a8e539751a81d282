"""The house: imports run downward only, from room to room; pure modules stay pure; files fit in a head."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(p for folder in ("appliance", "services", "image") for p in (ROOT / folder).rglob("*.py"))
MODULES = [p for p in SOURCES if p.name != "__init__.py"]
BENCH = sorted((ROOT / "bench").rglob("*.py"))
FORBIDDEN = {
    "services": {"appliance", "image", "tests", "bench"},
    "image": {"appliance", "services", "tests", "bench"},
    "appliance": {"tests", "bench"},
}
# Every room, from the ground up. A room imports from the floors below its own, never from its own floor or above.
# A room that no floor names fails: say where it stands.
FLOORS = (
    {
        "appliance.errors",
        "appliance.schedules",
        "services.decision",
        "services.draining",
        "services.ethernet",
        "services.foreign_text",
        "services.rate_limit",
        "services.spans",
        "services.trusted_certificates",
        "services.recent_names",
        "services.values",
    },
    {
        "services.boinc",
        "services.menus",
        "services.events",
        "services.host_names",
        "services.linux",
        "services.ssh",
        "services.wake_on_lan",
        "appliance.last_resort",
        "appliance.process",
    },
    {"services.ipv6", "services.nfs"},
    {
        "image.bootfiles",
        "image.build_logs",
        "image.command",
        "image.commandline",
        "image.custom_files",
        "image.disk_space",
        "image.mirror_patience",
        "image.mirrors",
        "image.names",
        "image.openpgp",
        "image.package_names",
        "image.plain_files",
        "image.preseed",
        "image.progress",
        "image.recipe",
        "image.squashfs_bytes",
        "image.transfers",
        "image.zstd",
    },
    {"image.download", "image.repositories", "image.squashfs"},
    {
        "image.apt",
        "image.build_prerequisites",
        "image.customization",
        "image.file_tree",
        "image.livebuild",
        "image.release",
        "image.updates",
    },
    {"image.apt_root", "image.offers", "image.partial", "image.signature"},
    {
        "image.activation",
        "image.apt_lists",
        "image.comparison",
        "image.contents",
        "image.package_index",
        "image.failure_causes",
        "image.prune",
        "image.publish",
        "image.sbom",
        "image.steps",
        "image.throwaway",
    },
    {"image.failures", "image.pull", "image.push", "image.work_directory"},
    {"image.kept"},
    {"image.build"},
    {"image.reproduction"},
    {"services.dhcp", "services.http"},
    {"services.tftp"},
    {"services.probe"},
    {"appliance.config"},
    {"appliance.allowlist", "appliance.network"},
    {"appliance.admission", "appliance.registry"},
    # What the registry keeps of schedules; the rest of that room lies below the configuration.
    {"appliance.schedules.holds", "appliance.schedules.respites"},
    {"appliance.dhcp", "appliance.firmware", "appliance.journal", "appliance.page", "appliance.root_requests"},
    {"appliance.live"},
    {"appliance.boot", "appliance.exports", "appliance.images"},
    {"appliance.heartbeats"},
    {"appliance.wake"},
    {"appliance.backup", "appliance.diagnosis"},
    {"appliance.view"},
    {"appliance.doctor", "appliance.server", "appliance.control"},
    {"appliance.cli"},
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# scapy is GPL-2.0-only: libraries under Apache-2.0 may live in these processes only while it does not.
WITHOUT_SCAPY = (
    "appliance/exports/root_helper.py",
    "appliance/images/root_helper.py",
    "appliance/view/**/*.py",
    "appliance/control/**/*.py",
    "appliance/cli/control.py",
)
# What only the control process has: some of it is under Apache-2.0, or brings such libraries.
CONTROL_ONLY = {"apprise", "fastapi", "multipart", "prometheus_client", "python_multipart", "requests", "uvicorn"}
CONTROL_ONLY |= {"jinja2", "pydantic", "starlette"}
# Of the tests, what the bench stands on: namespaces, processes, a release to serve, scripted PCs.
LENT_TO_BENCH = ("tests.room.", "tests.netns.", "tests.fakes.")
IMPURE = {"asyncio", "socket", "sqlite3", "scapy", "structlog", "subprocess", "time"}
PURE = (
    "appliance/admission/listing.py",
    "appliance/admission/makers.py",
    "appliance/admission/spreadsheet.py",
    "appliance/boot/boinc_files.py",
    "appliance/boot/policy.py",
    "appliance/boot/renewals.py",
    *(
        f"appliance/diagnosis/{name}.py"
        for name in ("boots", "computing", "examination", "fault", "loaders", "reports", "roots", "signs")
    ),
    "appliance/boot/report_limit.py",
    "appliance/config/history.py",
    "appliance/config/loaders.py",
    *(f"appliance/control/fleet/{name}.py" for name in ("changes", "groups", "needs", "pcs", "remedies", "rooms")),
    "appliance/control/web/plots.py",
    "appliance/exports/grants.py",
    "appliance/exports/ownership.py",
    "appliance/exports/request.py",
    "appliance/exports/senders.py",
    "appliance/heartbeats/pace.py",
    "appliance/images/build_record.py",
    "appliance/images/emulated_pc.py",
    "appliance/images/image_request.py",
    "appliance/images/renewal.py",
    "appliance/root_requests/answer.py",
    "appliance/images/canary_choice.py",
    "appliance/images/rollout.py",
    "appliance/exports/forgotten_work.py",
    "appliance/heartbeats/records.py",
    "appliance/heartbeats/states.py",
    "appliance/heartbeats/tally.py",
    "appliance/heartbeats/targets.py",
    "appliance/heartbeats/work.py",
    "appliance/journal/bounds.py",
    "appliance/journal/codec.py",
    "appliance/registry/records.py",
    "appliance/registry/rows.py",
    "appliance/journal/stream.py",
    "appliance/journal/timeline.py",
    "appliance/journal/visitors.py",
    "appliance/allowlist.py",
    "appliance/schedules/effective.py",
    "appliance/schedules/hold.py",
    "appliance/schedules/name.py",
    *(f"appliance/wake/{name}.py" for name in ("at_start", "decision", "request", "targets")),
    "appliance/schedules/schedule.py",
    "appliance/schedules/weekly.py",
    "appliance/errors.py",
    "appliance/config/menu.py",
    "appliance/config/notify.py",
    *(
        f"appliance/control/notify/{name}.py"
        for name in ("conditions", "judge", "notices", "rules", "sightings", "tally")
    ),
    "appliance/boot/menu.py",
    "appliance/firmware/rules.py",
    "appliance/config/dhcp.py",
    "appliance/config/projects.py",
    "appliance/config/selection.py",
    "appliance/config/tftp.py",
    "appliance/config/wake.py",
    "appliance/config/toml.py",
    "appliance/config/template.py",
    "appliance/firmware/knowledge.py",
    "appliance/config/menu_password.py",
    "appliance/live/archive.py",
    "services/host_names.py",
    "services/rate_limit.py",
    "services/spans.py",
    "services/recent_names.py",
    "services/values.py",
    "services/dhcp/appetite.py",
    "services/dhcp/waiting_room.py",
    "services/dhcp/boot_answer.py",
    "services/dhcp/pxe_rules.py",
    "services/dhcp/duplicates.py",
    "services/dhcp/machines.py",
    "services/dhcp/options.py",
    "services/dhcp/quirks.py",
    "services/dhcp/fingerprint.py",
    "services/dhcp/plan.py",
    "services/dhcp/lease.py",
    "services/dhcp/message.py",
    "services/dhcp/lease_reply.py",
    "services/dhcp/leasing.py",
    "services/dhcp/pool.py",
    "services/dhcp/snippets.py",
    "services/ipv6/no_router.py",
    "services/tftp/transfer.py",
    "services/tftp/lost_blocks.py",
    "services/tftp/due_sessions.py",
    "services/menus/script_text.py",
    "services/menus/ipxe.py",
    "services/http/basic_auth.py",
    "services/http/answers.py",
    "services/http/conversation.py",
    "services/http/messages.py",
    "services/http/slow_client.py",
    "services/http/paths.py",
    "services/http/heartbeats.py",
    "services/http/reports.py",
    "services/http/routing.py",
    "services/menus/menu.py",
    "services/menus/grub.py",
    "services/menus/pxelinux.py",
    "services/tftp/paths.py",
    "services/nfs/exports.py",
    "services/nfs/etab.py",
    "services/nfs/wall.py",
    *(
        f"services/boinc/{name}.py"
        for name in ("accounts", "condition", "files", "idleness", "online", "preferences", "replies")
    ),
    "services/linux/netlink.py",
    "services/linux/next_hops.py",
    "services/ssh/host_key.py",
    "services/ssh/public_keys.py",
    "services/ethernet.py",
    "services/wake_on_lan.py",
    "services/foreign_text.py",
    "services/events.py",
    "services/decision.py",
    "services/probe/server_questions.py",
    *(
        f"services/probe/{name}.py"
        for name in ("attempt", "explanation", "firmware", "message", "ipxe_script", "timeline", "transfers", "verdict")
    ),
    *(
        f"appliance/view/{name}.py"
        for name in (
            "address_claims",
            "allowed",
            "allowed_page",
            "boot_pace",
            "build",
            "boots",
            "canary",
            "clients",
            "days",
            "events",
            "evidence",
            "explanation",
            "exports",
            "firmware",
            "health",
            "image_contents",
            "image_diff",
            "image_checks",
            "image_keys",
            "kept_work",
            "images",
            "leases",
            "menu",
            "pc_page",
            "refused",
            "schedules",
            "status",
            "wakes",
        )
    ),
    "appliance/doctor/finding.py",
    "appliance/doctor/pointers.py",
    "appliance/doctor/ruleset.py",
    "image/recipe.py",
    "image/names.py",
    "image/commandline.py",
    "image/disk_space.py",
    "image/failure_causes.py",
    "image/livebuild.py",
    "image/mirror_patience.py",
    "image/mirrors.py",
    "image/openpgp.py",
    "image/package_names.py",
    "image/preseed.py",
    "image/repositories.py",
    "image/updates.py",
    "image/squashfs.py",
    "image/squashfs_bytes.py",
    "image/file_tree.py",
    "image/comparison.py",
    "image/sbom.py",
    "image/steps.py",
    "image/transfers.py",
    *(f"bench/{name}.py" for name in ("goals", "measure", "report", "svg")),
)
# Imported by pure modules for a value that they only name as a type.
PURE_BUT_FOR_A_TYPE = {
    "appliance/boot/boinc_files.py": {"appliance/config/file.py"},  # Config
    "appliance/control/fleet/needs.py": {"appliance/registry/reload_result.py"},  # ReloadResult
    "services/tftp/due_sessions.py": {"services/tftp/session.py"},  # Session
    "appliance/view/boots.py": {"appliance/view/facts.py"},
    "appliance/view/clients.py": {"appliance/view/facts.py"},
    "appliance/view/events.py": {"appliance/journal/event_pages.py", "appliance/view/facts.py"},  # LoggedEvent
    "appliance/images/renewal.py": {"appliance/images/notes.py"},  # BootTest
    "appliance/view/image_diff.py": {"image/release.py"},  # Release
    "appliance/view/image_checks.py": {"appliance/images/notes.py"},  # BootTest, UpdateCheck, UpdateRun
    "appliance/view/images.py": {"image/prune.py", "image/release.py", "appliance/view/releases.py"},
    "appliance/view/pc_page.py": {"appliance/view/facts.py"},
    "appliance/view/schedules.py": {"appliance/config/file.py"},  # Config
    "appliance/view/status.py": {
        "appliance/boot/next_boot.py",
        "appliance/dhcp/leases.py",
        "appliance/registry/reload_result.py",
        "appliance/view/facts.py",
        "appliance/view/image_states.py",
        "appliance/view/rooms.py",  # RoomView
    },
}
# Where each foreign library's objects stop: the codec or the edge that wraps it.
CONFINED = {
    "scapy": {"services/dhcp/packet.py", "services/probe/codec.py", "services/probe/capture.py"},
    "tftpy": {"services/tftp/packet.py", "services/probe/tftp_download.py"},
    "pyroute2": {"services/linux/interfaces.py"},
    "httptools": {"services/http/messages.py"},
    "apprise": {"appliance/control/notify/sending.py"},
    "requests": {"appliance/control/notify/short_answers.py"},
    "subprocess": {"services/linux/programs.py", "image/command.py"},
    "sqlite3": {f"appliance/registry/{name}.py" for name in ("database", "schema", "sql_errors")},
}


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in it, by its full dotted name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            is_package = (ROOT / node.module.replace(".", "/")).is_dir()
            yield from (f"{node.module}.{alias.name}" if is_package else node.module for alias in node.names)


def imports(path: Path) -> Iterator[str]:
    """The top-level packages that a file imports."""
    yield from (name.split(".")[0] for name in imported(path))


def room(name: str) -> str:
    """The room of a module: its folder below the top one, or the module itself where it stands alone or has a floor of
    its own."""
    own = ".".join(name.split(".")[:3])
    return own if own in FLOOR else ".".join(name.split(".")[:2])


def reachable(path: Path) -> set[str]:
    """All modules, ours and others, that a file brings with it, those that it imports late included."""
    found: set[str] = set()
    waiting = [path]
    while waiting:
        for name in set(imported(waiting.pop())) - found:
            found.add(name)
            ours = (ROOT / name.replace(".", "/")).with_suffix(".py")
            waiting += [ours] if ours.exists() else []
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_downward_only(path: Path) -> None:
    assert not set(imports(path)) & FORBIDDEN[path.relative_to(ROOT).parts[0]]


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.name != "__init__.py"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_room_imports_from_lower_floors_only(path: Path) -> None:
    own = room(".".join(path.relative_to(ROOT).with_suffix("").parts))
    others = {room(name) for name in imported(path) if name.split(".")[0] in FORBIDDEN} - {own}
    assert {other for other in others if FLOOR[other] >= FLOOR[own]} == set()


@pytest.mark.parametrize("path", [p for glob in WITHOUT_SCAPY for p in ROOT.glob(glob)], ids=lambda p: p.stem)
def test_root_and_the_control_plane_import_no_scapy(path: Path) -> None:
    assert "scapy" not in {name.split(".")[0] for name in reachable(path)}


def test_the_data_plane_imports_nothing_of_the_control_plane() -> None:
    found = reachable(ROOT / "appliance/server/daemon.py")
    assert "scapy" in {name.split(".")[0] for name in found}
    assert {name.split(".")[0] for name in found} & CONTROL_ONLY == set()
    assert [name for name in found if name.startswith("appliance.control.")] == []


@pytest.mark.parametrize(
    "path", [p for p in SOURCES if p.relative_to(ROOT).parts[0] != "appliance"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_services_and_image_log_by_the_standard_library(path: Path) -> None:
    assert "structlog" not in set(imports(path))


@pytest.mark.parametrize("path", BENCH, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_bench_stands_on_the_room_and_not_on_tests(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.startswith(("from tests", "import tests"))]
    assert all(line.split()[1].startswith(LENT_TO_BENCH) for line in lines)


def test_only_its_own_tests_know_the_bench() -> None:
    users = [p for p in (ROOT / "tests").rglob("*.py") if "bench" in set(imports(p))]
    assert {p.parent for p in users} == {ROOT / "tests" / "unit" / "bench"}


def test_no_two_classes_have_one_name() -> None:
    homes: dict[str, list[str]] = {}
    for path in SOURCES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                homes.setdefault(node.name.lstrip("_"), []).append(str(path.relative_to(ROOT)))
    assert {name: files for name, files in homes.items() if len(files) > 1} == {}


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_does_no_io(name: str) -> None:
    assert not set(imports(ROOT / name)) & IMPURE


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_stands_on_pure_modules_of_ours(name: str) -> None:
    files = {name.replace(".", "/") + ".py" for name in imported(ROOT / name)}
    ours = {file for file in files if (ROOT / file).exists()}
    codecs = CONFINED["scapy"] | CONFINED["tftpy"]
    assert ours - set(PURE) - codecs == PURE_BUT_FOR_A_TYPE.get(name, set())


@pytest.mark.parametrize(("library", "homes"), CONFINED.items())
def test_a_foreign_library_stops_at_its_codec(library: str, homes: set[str]) -> None:
    users = {str(p.relative_to(ROOT)) for p in SOURCES if library in set(imports(p))}
    assert users == homes


def test_files_take_the_place_of_others_through_one_door() -> None:
    """Beside it: `restore`, which can take every step back, a copy for another owner, and whole folders of images."""
    door = re.compile(r"mkstemp|os\.(replace|rename|fsync)\b")
    users = {str(path.relative_to(ROOT)) for path in SOURCES if door.search(path.read_text())}
    assert users == {
        "services/linux/atomic_file.py",
        "appliance/backup/restore.py",
        "appliance/registry/file_owner.py",
        "image/plain_files.py",
    }


def test_releases_become_active_through_one_door() -> None:
    """It checks their files and their signature."""
    door = re.compile(r"\brelease\.activate\(")
    assert {str(path.relative_to(ROOT)) for path in SOURCES if door.search(path.read_text())} == {"image/activation.py"}


def test_the_terminal_is_reached_through_one_door() -> None:
    """`output` makes all words harmless, and `last_resort` those of the last error. Beside them: the log, a build's
    moving line, what a test says to the program that has started it, and a backup, which is no text and never goes to a
    terminal."""
    door = re.compile(
        r"(?<!\w)print\(|\becho\(|secho\(|Console\(|sys\.(__)?std(out|err)(__)?\b(?!\.isatty)|os\.write\([12]\b"
    )
    users = {str(path.relative_to(ROOT)) for path in SOURCES if door.search(path.read_text())}
    assert users == {
        "appliance/cli/output.py",
        "appliance/last_resort.py",
        "appliance/process/logging_setup.py",
        "appliance/cli/image_build.py",
        "appliance/cli/backup.py",
        "appliance/images/emulated_room.py",
    }


@pytest.mark.parametrize("path", SOURCES + BENCH, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_says_what_it_is_for_and_fits_in_a_head(path: Path) -> None:
    text = path.read_text()
    if text:
        assert ast.get_docstring(ast.parse(text))
    assert text.count("\n") <= 400


def test_a_verb_does_not_pay_for_the_imports_of_another() -> None:
    slow = "{'scapy', 'asyncio', 'rich', 'tftpy', 'appliance.server.daemon'}"
    line = f"import sys, appliance.cli.main; sys.exit(', '.join({slow} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
