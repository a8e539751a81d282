"""What verbs are given, as values; a wrong one is a UserError."""

from appliance.errors import UserError
from services.ethernet import MacAddress


def mac_address(text: str, hint: str = "") -> MacAddress:
    """A MAC address in any common notation."""
    try:
        return MacAddress.parse(text)
    except ValueError as error:
        raise UserError(str(error), hint) from None
