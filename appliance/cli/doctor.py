"""`doctor`: find what is wrong with the box and its segment, and say what to do about it."""

from typing import Annotated

import typer

from appliance.cli import doctor_probe
from appliance.cli.arguments import JSON
from appliance.cli.output import say, show_json
from appliance.doctor.finding import Finding, Severity, exit_code, report, summary, worst

app = typer.Typer(name="doctor")
app.command("probe", epilog="Example: sudo netboot-appliance doctor probe 52:54:00:aa:bb:cc --arch bios")(
    doctor_probe.probe
)
app.command("pcap", epilog="Example: netboot-appliance doctor pcap boot.pcap (made with: tcpdump -w boot.pcap)")(
    doctor_probe.pcap
)

_MARKS = {Severity.OK: "ok      ", Severity.NOTE: "note    ", Severity.WARNING: "WARNING ", Severity.ERROR: "ERROR   "}


@app.callback(
    invoke_without_command=True,
    epilog="Exit code: 0 all well (or notes only), 1 warnings, 2 errors. Example: sudo netboot-appliance doctor",
)
def doctor(context: typer.Context, as_json: Annotated[bool, JSON] = False) -> None:
    """Find what keeps PCs from booting or computing, and say what to do about it.

    Checks ports, interface, firewall, NFS, image, disk, clock, and who else answers DHCP on the segment. Changes
    nothing: sends three DHCP DISCOVERs from random MAC addresses on each interface, and takes no lease. Needs root.
    """
    if context.invoked_subcommand is not None:
        return
    from appliance.doctor.checks import examine

    findings = []
    for finding in examine(context.obj):
        findings.append(finding)
        if not as_json:
            _show(finding)
    severity = worst(findings)
    if as_json:
        show_json(report(findings))
    else:
        say(summary(findings))
    raise typer.Exit(exit_code(severity))


def _show(finding: Finding) -> None:
    say(f"{_MARKS[finding.severity]}{finding.what}")
    if finding.severity is not Severity.OK:
        for label, text in (("why", finding.why), ("do", finding.what_to_do)):
            if text:
                say(f"          {label + ':':4} {text}")
