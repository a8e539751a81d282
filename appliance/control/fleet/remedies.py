"""What cures a fault, as buttons of the page: the orders, settings and pages that the words of its cure name. PURE."""

import re
from dataclasses import dataclass
from urllib.parse import urlencode

from appliance.view.pc_page import ORDERS
from services.http.heartbeats import OrderVerb

_OF_THIS_PC = re.compile(r"(?<=(?:order|.show|probe) )MAC|(?<=allow add )MAC(?= --)")
_ORDER = re.compile(r"netboot-appliance order MAC (resume|reboot)\b")
_SETTING = re.compile(r"netboot-appliance allow add MAC --(root|default|timeout) (\w+)")
_SETTINGS = {"root": "Let it mount its root", "default": "Let it start its disk", "timeout": "No menu for it"}


@dataclass(frozen=True, slots=True)
class Remedy:
    """A button. `address` is the page on which it can be done. With an address to `post` it sends the `fields` there at
    once, after the `question`, if there is one; without scripts it leads to the page."""

    name: str
    address: str
    post: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    question: str = ""


def for_one(cure: str, mac: str) -> str:
    """The cure with the MAC address of its PC in the commands that are about this PC."""
    return _OF_THIS_PC.sub(mac, cure)


def cures(cure: str) -> str:
    """The order that is the cure; empty if it is none."""
    found = _ORDER.search(cure)
    return found[1] if found else ""


def remedies(cure: str, mac: str = "", label: str = "", cause: str = "", pcs: int = 0) -> tuple[Remedy, ...]:
    """The buttons for a cure. `mac`: the one PC that it is for, with its label; or `pcs`: how many have the fault with
    this `cause`."""
    found = []
    if mac:
        found += _of_one(cure, mac, label)
    elif pcs and (verb := cures(cure)):
        fields = (("cause", cause), ("verb", verb))
        found.append(
            _order(verb, f": {pcs:,} PCs", f"/?{urlencode({'text': cause[:100]})}#filter", "/faults/orders", fields)
        )
    if "netboot-appliance doctor" in cure.replace("doctor probe", "").replace("doctor pcap", ""):
        found.append(Remedy("Run the doctor", "/health"))
    if "netboot-appliance image" in cure:
        found.append(Remedy("Images", "/images"))
    return tuple(found)


def _of_one(cure: str, mac: str, label: str) -> list[Remedy]:
    found = []
    if verb := cures(cure):
        fields = (("verb", verb), ("brief", "yes"))
        found.append(_order(verb, "", f"/pcs/{mac}#orders", f"/pcs/{mac}/orders", fields))
    if setting := _SETTING.search(cure):
        typed = {"range": mac, "label": label, setting[1]: setting[2]}
        found.append(Remedy(f"{_SETTINGS[setting[1]]}…", f"/allowlist?{urlencode(typed)}#add"))
    if "order MAC finish" in cure:
        found.append(Remedy("Orders", f"/pcs/{mac}#orders"))
        found.append(Remedy("Forget it…", f"/pcs/{mac}#forget"))
    return found


def _order(verb: str, whom: str, address: str, post: str, fields: tuple[tuple[str, str], ...]) -> Remedy:
    name, meaning = ORDERS[OrderVerb(verb)]
    question = "" if verb == OrderVerb.RESUME else f"{name}{whom}? {meaning}"
    return Remedy(f"{name}{whom}", address, post, fields, question)
