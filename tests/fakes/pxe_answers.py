"""The rules of proxyDHCP in one step, for tests that know what the client may boot."""

from ipaddress import IPv4Address

from services.decision import Ignore
from services.dhcp import pxe_rules
from services.dhcp.message import Arrival, Message, Reply
from services.dhcp.plan import BootPlan


def respond(message: Message, plan: BootPlan, address: IPv4Address, arrival: Arrival) -> Reply | Ignore:
    """The answer to a boot request, or the refusal of `classify`."""
    request = pxe_rules.classify(message, arrival)
    return request if isinstance(request, Ignore) else pxe_rules.answer(message, request, plan, address, arrival)
