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
    """A button. `address` is the page on which it can be done. With a `verb` it gives that order to the PC at once,
    after the `question`, if there is one; without scripts it leads to the page."""

    name: str
    address: str
    verb: str = ""
    question: str = ""


def for_one(cure: str, mac: str) -> str:
    """The cure with the MAC address of its PC in the commands that are about this PC."""
    return _OF_THIS_PC.sub(mac, cure)


def remedies(cure: str, mac: str = "", label: str = "") -> tuple[Remedy, ...]:
    """The buttons for a cure. `mac`: the one PC that it is for, with its label; without it there are only those that
    are not about a single PC."""
    found = []
    if mac:
        found += _of_one(cure, mac, label)
    if "netboot-appliance doctor" in cure.replace("doctor probe", "").replace("doctor pcap", ""):
        found.append(Remedy("Run the doctor", "/health"))
    if "netboot-appliance image" in cure:
        found.append(Remedy("Images", "/images"))
    return tuple(found)


def _of_one(cure: str, mac: str, label: str) -> list[Remedy]:
    found = []
    if order := _ORDER.search(cure):
        verb = OrderVerb(order[1])
        name, meaning = ORDERS[verb]
        question = "" if verb is OrderVerb.RESUME else f"{name}? {meaning}"
        found.append(Remedy(name, f"/pcs/{mac}#orders", str(verb), question))
    if setting := _SETTING.search(cure):
        typed = {"range": mac, "label": label, setting[1]: setting[2]}
        found.append(Remedy(f"{_SETTINGS[setting[1]]}…", f"/allowlist?{urlencode(typed)}#add"))
    if "order MAC finish" in cure:
        found.append(Remedy("Orders", f"/pcs/{mac}#orders"))
        found.append(Remedy("Forget it…", f"/pcs/{mac}#forget"))
    return found
