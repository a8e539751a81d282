"""Whether the PCs can mount what they are told to: the NFS server, our exports, and mountd for NFSv3."""

from collections.abc import Collection, Mapping, Sequence
from ipaddress import IPv4Address
from pathlib import Path

from appliance.config.file import Config
from appliance.doctor.finding import Finding, error, note, ok, warning
from appliance.errors import UserError
from appliance.exports import install
from appliance.exports.expected import expected_exports
from appliance.network.interfaces import interfaces, networks
from appliance.registry.database import Registry
from image.release import SQUASHFS, ReleaseError, active_id
from services.ethernet import MacAddress
from services.linux.volumes import mounts
from services.nfs import kernel
from services.nfs.backend import Backend, NfsError
from services.nfs.exports import ITSELF, Export
from services.nfs.ganesha import require_ganesha
from services.nfs.mount import read_beginning
from services.nfs.rpc import MOUNT, NFS, NFS_PORT, RpcError, null, port_of

_UNITS = {Backend.KERNEL: "nfs-server", Backend.GANESHA: "nfs-ganesha"}


def judge_file(expected: str, written: str | None, path: str) -> Finding:
    """`written` is the content of the box's export file `path`, None when there is no file."""
    if expected == written:
        return ok("nfs-exports", f"{path} is as it should be")
    return warning(
        "nfs-exports",
        f"{path} does not exist" if written is None else f"{path} is out of date",
        "PCs that have been allowed since then cannot mount, or others still can",
        "sudo netboot-appliance exports apply (a running server does so by itself within a moment)",
    )


def judge_live(expected: Sequence[Export], live: Mapping[str, Sequence[str]]) -> Finding:
    """`live` is what the kernel's NFS server exports, by path; only that matters to a PC."""
    missing = [
        f"{export.path} to {client}"
        for export in expected
        for client in export.clients
        if str(client) not in live.get(export.path, ())
    ]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        return error(
            "nfs-exports",
            f"the NFS server does not export {missing[0]}{more}",
            "the kernel of that PC starts and then waits for its root",
            "sudo netboot-appliance exports apply; if that does not help: systemctl restart nfs-server",
        )
    return ok("nfs-exports", f"{sum(bool(export.clients) for export in expected)} of our exports are in force")


def judge_bounds(backend: Backend, expected: Sequence[Export], state: Path) -> list[Finding]:
    """Whether a file handle of each export leads nowhere else; `state` is where the PCs' directories are."""
    shared = [export for export in expected if export.clients and not export.alone]
    works = [MacAddress.parse(Path(each.path).name) for each in shared if Path(each.path).parent == state]
    more = f", and those of {len(works) - 1} more PCs," if len(works) > 1 else ""
    pack = "while the PC is off: sudo netboot-appliance state pack MAC (or --all)"
    if backend is Backend.KERNEL:
        if works:
            consequence = "its handles are checked one by one, but it can fill the server's disk"
            return [warning("nfs-bounds", f"the work of {works[0]}{more} is in a plain directory", consequence, pack)]
        return [ok("nfs-bounds", "a file handle leads nowhere outside its export")]
    consequence = "a program on a PC can read the server's files through NFS-Ganesha, and write those of other PCs"
    findings = []
    if works:
        findings.append(error("nfs-bounds", f"the work of {works[0]}{more} is in a plain directory", consequence, pack))
    if len(works) < len(shared):
        findings.append(
            error(
                "nfs-bounds",
                "the images share a file system with the server's own files",
                consequence,
                "when the PCs may be restarted: sudo netboot-appliance exports withdraw, and then exports apply; "
                'or [nfs] backend = "kernel"',
            )
        )
    return findings or [ok("nfs-bounds", "each export is a file system of its own: no file handle leads out of it")]


def judge_view(expected: Sequence[Export], seen: Collection[str]) -> list[Finding]:
    """`seen` is what NFS-Ganesha sees mounted."""
    if hidden := [each.path for each in expected if each.clients and each.alone and each.path not in seen]:
        return [
            error(
                "nfs-bounds",
                f"NFS-Ganesha does not see what is mounted on {hidden[0]}",
                "it exports the empty directory below, and the PC finds none of its work",
                "it must run without mounts of its own (no PrivateMounts= and the like), and then: "
                "systemctl restart nfs-ganesha",
            )
        ]
    return []


def judge_answer(what: str, problem: str, advice: str) -> Finding:
    """`problem` is how an RPC service failed to answer, or empty."""
    if problem:
        return error("nfs-answers", f"{what} does not answer: {problem}", "no PC can mount its root", advice)
    return ok("nfs-answers", f"{what} answers")


def judge_mount(problem: str, backend: Backend) -> Finding:
    """`problem` is what the NFS server refused when it was asked for the live root, in its words, or empty."""
    if problem:
        return error(
            "nfs-mount",
            f"root refused by NFS: {problem}",
            "this host asked as a PC does: kernels of PCs start, and then wait for their root",
            "sudo netboot-appliance exports apply; if that does not help, the export file is right and the server has"
            f" not taken it: read its log, then systemctl restart {_UNITS[backend]}",
        )
    return ok("nfs-mount", "the NFS server gives the live root to who mounts it")


def check(config: Config) -> list[Finding]:
    """Look at the NFS server's process, its exports, and the answers that a PC would get."""
    try:
        backend, why = install.chosen(config)
    except UserError as missing:
        return [error("nfs", missing.message, "no PC can mount its root", missing.hint)]
    try:
        if backend is Backend.KERNEL:
            running = f"the kernel's NFS server runs with {kernel.require_nfsd()} threads ({why})"
        else:
            pid = require_ganesha(config.nfs.ganesha_pid_file, config.nfs.ganesha_config)
            running = f"NFS-Ganesha runs as process {pid} and reads our exports ({why})"
    except NfsError as problem:
        return [error("nfs", problem.message, "no PC can mount its root", problem.hint)]
    findings = [ok("nfs", running)]
    try:
        addresses = [interface.address.ip for interface in interfaces(config)]
    except UserError as absent:
        return [*findings, note("nfs", f"the rest of NFS was not checked: {absent.message}")]
    for address in addresses:
        findings += _ask(address, _UNITS[backend])
    return findings + _check_exports(config, backend)


def _ask(address: IPv4Address, unit: str) -> list[Finding]:
    """Ask this address what a PC asks, in the same order."""
    restart = f"systemctl restart rpcbind {unit} (the order matters: the NFS server registers its ports when it starts)"
    findings, ports = [], {}
    for name, program in (("NFSv3", NFS), ("mountd", MOUNT)):
        try:
            ports[program] = port_of(address, program, 3)
            problem = ""
        except RpcError as error_:
            problem = str(error_)
        findings.append(judge_answer(f"the portmapper of {address}, asked for {name},", problem, restart))
    for name, port, program, version in (
        ("mountd", ports.get(MOUNT), MOUNT, 3),
        ("NFSv3", ports.get(NFS), NFS, 3),
        ("NFSv4", NFS_PORT, NFS, 4),
    ):
        if port is not None:
            findings.append(judge_answer(f"{name} of {address}", _problem(address, port, program, version), restart))
    return findings


def _problem(address: IPv4Address, port: int, program: int, version: int) -> str:
    try:
        null(address, port, program, version)
    except RpcError as problem:
        return str(problem)
    return ""


def _check_exports(config: Config, backend: Backend) -> list[Finding]:
    if not config.registry.exists():
        return [note("nfs-exports", "there is no registry yet, so there is nothing to export")]
    try:
        with Registry(config.registry) as registry:
            expected = expected_exports(config, networks(config, interfaces(config)), registry)
    except UserError as unreadable:
        return [note("nfs-exports", f"not checked: {unreadable.message}")]
    if not any(export.clients for export in expected):
        return [ok("nfs-exports", "there is nothing to export yet: no allowed PC has booted")]
    path = install.destination(config, backend)
    try:
        written = path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        written = None
    findings = [judge_file(install.render(backend, expected), written, str(path))]
    findings += judge_bounds(backend, expected, config.state)
    if any(export.path == str(config.images) and export.clients for export in expected):
        findings += _mount_as_a_pc(config, backend)
    if backend is Backend.KERNEL:
        return [*findings, judge_live(expected, kernel.exported())]
    # NFS-Ganesha shows its exports only to those that may mount them, so only the file can be checked.
    try:
        table = Path(f"/proc/{require_ganesha(config.nfs.ganesha_pid_file, config.nfs.ganesha_config)}/mountinfo")
        return findings + judge_view(expected, mounts(table))
    except (NfsError, OSError):
        return findings


def _mount_as_a_pc(config: Config, backend: Backend) -> list[Finding]:
    """Do what a PC does first: mount the images, and read the beginning of the active release's live system."""
    try:
        active = active_id(config.images)
    except ReleaseError:
        active = None
    if active is None:
        return []  # appliance/doctor/image.py says so
    try:
        read_beginning(ITSELF, str(config.images), (active, *SQUASHFS.split("/")), 4)
    except RpcError as refused:
        return [judge_mount(str(refused), backend)]
    return [judge_mount("", backend)]
