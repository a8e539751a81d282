"""nftables as values: what a ruleset of `nft --json` does to the first packet of a conversation. PURE.

See libnftables-json(5). A match says yes, no or perhaps; a rule that perhaps matches leaves both ways open.
"""

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_HOOKS = ("ingress", "prerouting", "input")
_FAMILIES = ("ip", "inet", "netdev")
_DEPTH = 16  # the kernel's own limit of nested jumps
_PROTOCOLS = {"tcp": 6, "udp": 17}
_SILENT = frozenset({"counter", "log", "comment", "mangle", "notrack", "meter", "set", "map"})
_ORDER = {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge}


class Fate(StrEnum):
    """What happens to a packet."""

    ACCEPT = "accept"
    DROP = "drop"
    UNSURE = "unsure"
    END = "end"
    """The chain ends without a decision."""


@dataclass(frozen=True, slots=True)
class FirstPacket:
    """The first packet of a PC to one of our ports."""

    interface: str
    protocol: str
    port: int


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain and its rules, each a list of statements; a base chain has a hook and a policy."""

    hook: str
    policy: Fate
    devices: tuple[str, ...]
    rules: tuple[Sequence[Any], ...]


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All chains and the contents of named sets, by (family, table, name)."""

    chains: Mapping[tuple[str, str, str], Chain]
    sets: Mapping[tuple[str, str, str], Sequence[Any]]

    def without(self, table: str) -> "Ruleset":
        """All but the tables of this name."""
        others = {name: chain for name, chain in self.chains.items() if name[1] != table}
        return Ruleset(others, self.sets)

    def decide(self, packet: FirstPacket) -> tuple[Fate, str]:
        """What happens to the packet, and the `family table chain` that decides it; ACCEPT when no chain objects."""
        unsure = ""
        for name, chain in self.chains.items():
            if not chain.hook or (chain.devices and packet.interface not in chain.devices):
                continue
            outcomes = _Walk(self, packet, name[:2]).chain(name[2], 0)
            if Fate.END in outcomes:
                outcomes = outcomes - {Fate.END} | {chain.policy}
            if outcomes == {Fate.DROP}:
                return Fate.DROP, " ".join(name)
            if outcomes != {Fate.ACCEPT} and not unsure:
                unsure = " ".join(name)
        return (Fate.UNSURE, unsure) if unsure else (Fate.ACCEPT, "")


def parse(document: Any) -> Ruleset:
    """Read what `nft --json list ruleset` prints; unknown parts are left out."""
    bases: dict[tuple[str, str, str], Any] = {}
    rules: dict[tuple[str, str, str], list[Sequence[Any]]] = {}
    sets: dict[tuple[str, str, str], Sequence[Any]] = {}
    for each in document.get("nftables", []):
        for kind, body in each.items():
            if kind == "chain" and body["family"] in _FAMILIES:
                bases[body["family"], body["table"], body["name"]] = body
            elif kind == "rule":
                rules.setdefault((body["family"], body["table"], body["chain"]), []).append(body["expr"])
            elif kind in ("set", "map"):
                sets[body["family"], body["table"], body["name"]] = body.get("elem", [])
    chains = {}
    for key, body in bases.items():
        filters = body.get("type") == "filter" and body.get("hook") in _HOOKS
        devices = body.get("dev", ())
        chains[key] = Chain(
            hook=body["hook"] if filters else "",
            policy=Fate.DROP if body.get("policy") == "drop" else Fate.ACCEPT,
            devices=(devices,) if isinstance(devices, str) else tuple(devices),
            rules=tuple(rules.get(key, ())),
        )
    return Ruleset(chains, sets)


class _Walk:
    """One packet on its way through the chains of one table."""

    def __init__(self, ruleset: Ruleset, packet: FirstPacket, table: tuple[str, str]) -> None:
        self._ruleset = ruleset
        self._packet = packet
        self._table = table

    def chain(self, name: str, depth: int) -> set[Fate]:
        """All ways in which this chain may end."""
        chain = self._ruleset.chains.get((*self._table, name))
        if chain is None or depth > _DEPTH:
            return {Fate.UNSURE}
        outcomes: set[Fate] = set()
        for statements in chain.rules:
            matches, results, goes_on = self._rule(statements, depth)
            if matches is False:
                continue
            outcomes |= results
            if matches and not goes_on:
                return outcomes
        return outcomes | {Fate.END}

    def _rule(self, statements: Sequence[Any], depth: int) -> tuple[bool | None, set[Fate], bool]:
        """Whether the rule matches, how it then may end, and whether the next rule may still be reached."""
        matches: bool | None = True
        for statement in statements:
            kind, body = _only(statement)
            if kind == "match":
                matches = _both(matches, self._match(body))
                if matches is False:
                    return False, set(), True
            elif kind in ("accept", "drop", "reject"):
                return matches, {Fate.ACCEPT if kind == "accept" else Fate.DROP}, False
            elif kind == "return":
                return matches, {Fate.END}, False
            elif kind in ("jump", "goto"):
                return matches, *self._enter(kind, body["target"], depth)
            elif kind == "vmap":
                found, results, goes_on = self._map(body, depth)
                return _both(matches, found), results, goes_on
            elif kind == "xt":
                # A match or a target of iptables, which nft does not explain.
                if statement is statements[-1]:
                    return None, {Fate.UNSURE}, True
                matches = None
            elif kind not in _SILENT:
                matches = None
        return matches, set(), True

    def _enter(self, kind: str, target: str, depth: int) -> tuple[set[Fate], bool]:
        outcomes = self.chain(target, depth + 1)
        if kind == "goto":
            return outcomes, False
        return outcomes - {Fate.END}, Fate.END in outcomes

    def _map(self, body: Any, depth: int) -> tuple[bool | None, set[Fate], bool]:
        data = body["data"]
        elements = self._elements(data)
        if elements is None:
            return None, {Fate.UNSURE}, True
        outcomes: set[Fate] = set()
        for key, verdict in elements:
            matches = self._match({"op": "==", "left": body["key"], "right": key})
            if matches is False:
                continue
            _, results, goes_on = self._rule([verdict], depth)
            outcomes |= results
            if matches:
                return True, outcomes, goes_on
        return (None if outcomes else False), outcomes, True

    def _elements(self, data: Any) -> Sequence[Any] | None:
        if isinstance(data, str) and data.startswith("@"):
            return self._ruleset.sets.get((*self._table, data[1:]))
        return data.get("set") if isinstance(data, dict) else None

    def _match(self, body: Any) -> bool | None:
        value = self._value(body["left"])
        if value is False or value is None:
            return value
        found = self._contains(body["right"], value)
        if body["op"] in _ORDER:
            both = isinstance(value, int) and isinstance(body["right"], int)
            return _ORDER[body["op"]](value, body["right"]) if both else None
        if body["op"] == "!=":
            return None if found is None else not found
        return found if body["op"] in ("==", "in") else None

    def _value(self, left: Any) -> Any:
        """The packet's value for the left side of a match: None if that is not known, False if it has none."""
        packet = self._packet
        kind, body = _only(left)
        match kind, body:
            case "payload", {"protocol": "tcp" | "udp" | "th" as protocol, "field": field}:
                if protocol not in ("th", packet.protocol):
                    return False
                return packet.port if field == "dport" else None
            case "payload", {"protocol": "ip", "field": "protocol"}:
                return packet.protocol
            case "payload", {"protocol": "icmp" | "icmpv6" | "ip6" | "igmp" | "sctp" | "dccp" | "esp" | "ah"}:
                return False
            case "meta", {"key": "l4proto"}:
                return packet.protocol
            case "meta", {"key": "nfproto"}:
                return "ipv4"
            case "meta", {"key": "iif" | "iifname"}:
                return packet.interface
            case "ct", {"key": "state"}:
                return "new"
            case _:
                return None

    def _contains(self, right: Any, value: Any) -> bool | None:
        """Whether `value` equals the right side of a match, or is in it."""
        if isinstance(right, str) and right.startswith("@"):
            right = self._ruleset.sets.get((*self._table, right[1:]))
        match right:
            case {"set": list(elements)} | list(elements):
                answers = [self._contains(element, value) for element in elements]
                return True if True in answers else None if None in answers else False
            case {"range": [int(first), int(last)]} if isinstance(value, int):
                return first <= value <= last
            case {"elem": {"val": inner}}:
                return self._contains(inner, value)
            case str(text) if isinstance(value, str) and text.endswith("*"):
                return value.startswith(text[:-1])
            case str() | int():
                return right in (value, _PROTOCOLS.get(value) if isinstance(value, str) else None)
            case _:
                return None


def _only(statement: Any) -> tuple[str, Any]:
    """The name and content of a statement or expression, which is an object with one member or a bare word."""
    if isinstance(statement, dict) and statement:
        name, body = next(iter(statement.items()))
        return str(name), body
    return str(statement), None


def _both(one: bool | None, other: bool | None) -> bool | None:
    if one is False or other is False:
        return False
    return None if one is None or other is None else True
