"""Root's helper for the exports: reads the server's request, checks it, applies it, and answers.

netboot-appliance-exports.service runs `python -m appliance.exports.root_helper` for each request, and a PC waits until
it is done. So it is not a command-line verb, which would take five times as long to start, and it imports as little as
possible. It trusts nothing in the request: docs/adr/0006-root-parts-apart.md.
"""

from ipaddress import IPv4Network
from pathlib import Path
from typing import NoReturn

from appliance import last_resort
from appliance.config.file import Config, load, locate, parse
from appliance.errors import UserError
from appliance.exports import install, mount_service
from appliance.exports.mailbox import answer_file, directories, read_request, refused, request_file
from appliance.exports.request import ExportAnswer, decode, digest, encode_answer
from services.linux import atomic_file
from services.linux.netlink_socket import address_of

_KEPT = "config.toml"


def serve_requests(configuration: Path) -> None:
    """Answer the request, and again if it has changed meanwhile; raises UserError if the last one failed."""
    requests, answers = directories()
    answered = ""
    failure: Exception | None = None
    # systemd does not watch the request while we run, so look again for one that was written since.
    while (content := read_request(request_file(requests))) is not None and digest(content) != answered:
        answered, failure = digest(content), None
        try:
            answer = _install(configuration, answers / _KEPT, content)
        except UserError as error:
            failure = error
            answer = ExportAnswer(answered, error=error.message, hint=error.hint)
        except Exception as error:  # the server waits for an answer in any case
            failure = error
            hint = "see: journalctl -u netboot-appliance-exports"
            answer = ExportAnswer(answered, error="root's helper ended by a fault of its own", hint=hint)
        try:
            atomic_file.write(answer_file(requests), encode_answer(answer), durable=False)
        except OSError as error:
            raise UserError(
                f"cannot answer in {answers}: {error.strerror}",
                "it must run as root: systemctl start netboot-appliance-exports",
                code=1,
            ) from error
    if failure:
        raise failure


def main() -> NoReturn:
    """Run once; an error goes to the journal as well as into the answer."""
    last_resort.run(_run_once)


def _run_once() -> int:
    serve_requests(locate(None))
    return 0


def _install(configuration: Path, kept: Path, content: bytes) -> ExportAnswer:
    try:
        wanted = decode(content)
    except ValueError as error:
        raise refused(str(error)) from error
    config = _load(configuration, kept, wanted.configuration)
    done = install.install(config, _networks(config), wanted.grants, mount_service.carry_out)
    return ExportAnswer(
        digest(content),
        done.backend.value,
        done.why,
        done.changed,
        done.directories,
        heard=done.observed.heard,
        claims=done.observed.claims,
        left_out=done.left_out,
    )


def _load(path: Path, kept: Path, accepted: str) -> Config:
    """The configuration that the server has accepted, by its digest: the file, or the file as it was before somebody
    edited it. If the file does not load, the last good one stays in force, as in the server itself."""
    try:
        config = load(path)
    except UserError as error:
        if (before := _kept(path, kept)) is None:
            raise
        last_resort.complain(UserError(f"{error.message}; continuing with the previous configuration", error.hint))
        return before
    if config.written and accepted not in ("", config.digest) and (before := _kept(path, kept)):
        return before
    if config.written:
        atomic_file.write(kept, path.read_bytes(), mode=0o600, durable=False)
    return config


def _kept(path: Path, kept: Path) -> Config | None:
    """The last one that the server had accepted, if there is one."""
    try:
        return parse(kept.read_text(encoding="utf-8"), path)
    except (OSError, ValueError, UserError):
        return None


def _networks(config: Config) -> tuple[IPv4Network, ...]:
    """Where clients can be: the configured networks, or those of the interfaces.

    As in appliance/network/interfaces.py, which is loaded only if it is needed: a PC waits for each import.
    """
    if config.nfs.networks:
        return config.nfs.networks
    if config.server.interfaces:
        try:
            return tuple(address_of(name).network for name in config.server.interfaces)
        except LookupError as error:
            raise UserError(
                f"{config.path}: [server] interfaces: {error.args[0]}", "see them with: ip -brief address", code=1
            ) from None
    # Nothing is configured: finding the interface takes half a second of imports.
    from appliance.network.interfaces import found_interface  # noqa: PLC0415

    return (found_interface().address.network,)


if __name__ == "__main__":
    main()
