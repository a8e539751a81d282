"""Rulesets as `nft --json list ruleset` prints them, and what they do to a PC's first packet."""

from typing import Any

import pytest

from appliance.doctor import firewall
from appliance.doctor.finding import Severity
from appliance.doctor.ruleset import Fate, FirstPacket, parse

TFTP = FirstPacket("lan0", "udp", 69)
HTTP = FirstPacket("lan0", "tcp", 80)


def chain(name: str = "input", policy: str = "drop", hook: str = "input", **more: Any) -> dict[str, Any]:
    base = {"type": "filter", "hook": hook, "prio": 0, "policy": policy} if hook else {}
    return {"chain": {"family": "inet", "table": "t", "name": name, "handle": 1, **base, **more}}


def rule(*statements: Any, name: str = "input") -> dict[str, Any]:
    return {"rule": {"family": "inet", "table": "t", "chain": name, "handle": 1, "expr": list(statements)}}


def match(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


def port(protocol: str, right: Any, op: str = "==") -> dict[str, Any]:
    return match({"payload": {"protocol": protocol, "field": "dport"}}, right, op)


def meta(key: str, right: Any, op: str = "==") -> dict[str, Any]:
    return match({"meta": {"key": key}}, right, op)


ACCEPT, DROP = {"accept": None}, {"drop": None}
STATE = {"ct": {"key": "state"}}
ESTABLISHED = rule(match(STATE, ["established", "related"], "in"), ACCEPT)
FROM_SOMEWHERE = match({"payload": {"protocol": "ip", "field": "saddr"}}, {"prefix": {"addr": "10.0.0.0", "len": 8}})
TCP_80 = {"set": {"family": "inet", "table": "t", "name": "ours", "type": "inet_service", "elem": [80, 443]}}


@pytest.mark.parametrize(
    ("rules", "tftp", "http"),
    [
        ([], Fate.ACCEPT, Fate.ACCEPT),
        ([chain(policy="accept")], Fate.ACCEPT, Fate.ACCEPT),
        ([chain()], Fate.DROP, Fate.DROP),
        ([chain(hook="forward")], Fate.ACCEPT, Fate.ACCEPT),
        ([chain(hook="")], Fate.ACCEPT, Fate.ACCEPT),
        ([chain(), ESTABLISHED], Fate.DROP, Fate.DROP),
        ([chain(), rule(match(STATE, "invalid"), DROP), rule(port("tcp", 80), ACCEPT)], Fate.DROP, Fate.ACCEPT),
        ([chain(), rule(port("udp", {"set": [67, 69]}), ACCEPT)], Fate.ACCEPT, Fate.DROP),
        ([chain(), rule(port("udp", {"range": [60, 70]}), ACCEPT)], Fate.ACCEPT, Fate.DROP),
        ([chain(), rule(port("udp", {"set": [{"range": [70, 80]}, 67]}), ACCEPT)], Fate.DROP, Fate.DROP),
        ([chain(), rule(port("th", {"set": [69, 80]}), ACCEPT)], Fate.ACCEPT, Fate.ACCEPT),
        ([chain(), rule(port("tcp", "@ours"), ACCEPT), TCP_80], Fate.DROP, Fate.ACCEPT),
        ([chain(), rule(port("tcp", 1024, "<"), ACCEPT)], Fate.DROP, Fate.ACCEPT),
        ([chain(), rule(port("udp", 69, "!="), ACCEPT)], Fate.DROP, Fate.DROP),
        ([chain(), rule(meta("iifname", "lo"), ACCEPT)], Fate.DROP, Fate.DROP),
        ([chain(), rule(meta("iifname", "lan*"), ACCEPT)], Fate.ACCEPT, Fate.ACCEPT),
        ([chain(), rule(meta("iifname", "wan0", "!="), {"counter": {}}, ACCEPT)], Fate.ACCEPT, Fate.ACCEPT),
        ([chain(), rule(meta("l4proto", {"set": [17]}), ACCEPT)], Fate.ACCEPT, Fate.DROP),
        ([chain(policy="accept"), rule(port("udp", 69), {"reject": None})], Fate.DROP, Fate.ACCEPT),
        ([chain(policy="accept"), rule(port("udp", 69), ACCEPT), rule(DROP)], Fate.ACCEPT, Fate.DROP),
        # What depends on unknown facts leaves both ways open.
        ([chain(), rule(FROM_SOMEWHERE, port("udp", 69), ACCEPT)], Fate.UNSURE, Fate.DROP),
        ([chain(), rule(FROM_SOMEWHERE, DROP), rule(ACCEPT)], Fate.UNSURE, Fate.UNSURE),
        ([chain(), rule(FROM_SOMEWHERE, DROP)], Fate.DROP, Fate.DROP),
        ([chain(), rule({"limit": {"rate": 9}}, port("tcp", 80), ACCEPT)], Fate.DROP, Fate.UNSURE),
        ([chain(policy="accept"), rule({"xt": None}, DROP)], Fate.UNSURE, Fate.UNSURE),
        ([chain(policy="accept"), rule({"xt": None})], Fate.UNSURE, Fate.UNSURE),
        ([chain(), rule(port("tcp", "@nosuch"), ACCEPT)], Fate.DROP, Fate.UNSURE),
        # Other chains: jump comes back, goto does not; return ends one chain.
        (
            [chain(), chain("c", hook=""), rule({"jump": {"target": "c"}}), rule(port("udp", 69), ACCEPT, name="c")],
            Fate.ACCEPT,
            Fate.DROP,
        ),
        (
            [chain(), chain("c", hook=""), rule({"goto": {"target": "c"}}), rule(ACCEPT)],
            Fate.DROP,
            Fate.DROP,
        ),
        (
            [
                chain(),
                chain("c", hook=""),
                rule({"jump": {"target": "c"}}),
                rule(ACCEPT),
                rule({"return": None}, name="c"),
            ],
            Fate.ACCEPT,
            Fate.ACCEPT,
        ),
        ([chain(), rule({"jump": {"target": "input"}})], Fate.UNSURE, Fate.UNSURE),
        (
            [
                chain(),
                rule({"vmap": {"key": STATE, "data": {"set": [["established", ACCEPT], ["invalid", DROP]]}}}),
                rule({"vmap": {"key": {"meta": {"key": "l4proto"}}, "data": {"set": [["udp", ACCEPT]]}}}),
            ],
            Fate.ACCEPT,
            Fate.DROP,
        ),
        # Each base chain has to let it through.
        ([chain(policy="accept"), chain("second")], Fate.DROP, Fate.DROP),
        ([chain(hook="ingress", family="netdev", dev="wan0")], Fate.ACCEPT, Fate.ACCEPT),
        ([chain(hook="ingress", family="netdev", dev=["lan0", "wan0"])], Fate.DROP, Fate.DROP),
        ([chain(family="ip6")], Fate.ACCEPT, Fate.ACCEPT),
        ([chain(type="nat")], Fate.ACCEPT, Fate.ACCEPT),
    ],
)
def test_what_happens_to_a_packet(rules: list[Any], tftp: Fate, http: Fate) -> None:
    ruleset = parse({"nftables": [{"metainfo": {"json_schema_version": 1}}, *rules]})
    assert (ruleset.decide(TFTP)[0], ruleset.decide(HTTP)[0]) == (tftp, http)


def test_a_dropped_port_is_an_error_with_the_rule_that_lets_it_in() -> None:
    ruleset = parse(
        {"nftables": [chain(), rule(port("udp", 67), ACCEPT), rule(FROM_SOMEWHERE, port("tcp", 80), ACCEPT)]}
    )
    findings = firewall.judge(ruleset, ["lan0"], [("udp", 67, "DHCP"), ("udp", 69, "TFTP"), ("tcp", 80, "HTTP")])
    assert [(f.check, f.severity) for f in findings] == [("firewall", Severity.ERROR), ("firewall", Severity.NOTE)]
    assert findings[0].what == "the firewall drops UDP port 69 (TFTP) from lan0: chain inet t input"
    assert "nft insert rule inet t input iifname lan0 udp dport 69 accept" in findings[0].what_to_do
    assert "TCP 80 (chain inet t input)" in findings[1].what


def test_no_rules_are_fine() -> None:
    (found,) = firewall.judge(parse({"nftables": []}), ["lan0"], [("udp", 69, "TFTP")])
    assert found.severity is Severity.OK


def test_our_own_wall_is_left_to_its_own_check() -> None:
    table = {"table": "netboot_appliance"}
    ours = [{kind: each | table for kind, each in body.items()} for body in (chain(), rule(DROP))]
    assert parse({"nftables": ours}).decide(TFTP)[0] is Fate.DROP
    both = parse({"nftables": [*ours, chain(policy="accept")]})
    assert both.without("netboot_appliance").decide(TFTP)[0] is Fate.ACCEPT
