"""`config dhcp` as its user types it."""

from tests.unit.appliance.cli.program import Run


def test_config_dhcp_lists_the_servers_and_names_the_way_a_server_can_go(run: Run) -> None:
    listed = run("config", "dhcp")
    assert [line.split()[3] for line in listed.stdout.splitlines()] == ["dnsmasq", "isc", "kea", "windows", "mikrotik"]
    wrong = run("config", "dhcp", "windows", "--way", "pxe")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.endswith("hint: netboot-appliance config dhcp windows --way options\n")
