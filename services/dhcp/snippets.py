"""Configuration for a site's own DHCP server, ready to paste, that makes its PCs boot from the box. PURE.

There are two ways (PXE 2.1; RFC 2132, options 60, 66, 67; RFC 3004, option 77; RFC 4578, option 93). PXE: the server
marks its offers with option 60 `PXEClient`, and firmware then asks port 4011 *of that server's own address*: this works
only for a server on the box's host. OPTIONS: the server itself names the loader, and the script for iPXE, which it
recognises by its user class.

In the URL of the script iPXE replaces `${…}` by the MAC address of its network card (https://ipxe.org/cfg,
"expand_settings" in its src/usr/autoboot.c, since 2013). The texts for dnsmasq, isc and kea are tested with the real
programs; the sources of the others are at their templates. Who may boot is not written there: the box decides that for
each request.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

IPXE_OWN_MAC = "${netX/mac:hexraw}"
"""iPXE replaces this by the MAC address of its boot interface, as twelve hexadecimal digits in lower case."""


class DhcpProduct(StrEnum):
    """A DHCP server program."""

    DNSMASQ = "dnsmasq"
    ISC = "isc"
    KEA = "kea"
    WINDOWS = "windows"
    MIKROTIK = "mikrotik"

    @property
    def ways(self) -> "tuple[HandOver, ...]":
        """The ways that it supports, the better one first. Windows and MikroTik never run on the box's host."""
        return (
            (HandOver.OPTIONS,)
            if self in (DhcpProduct.WINDOWS, DhcpProduct.MIKROTIK)
            else (HandOver.PXE, HandOver.OPTIONS)
        )


class HandOver(StrEnum):
    """How the DHCP server sends PCs to the box."""

    PXE = "pxe"
    OPTIONS = "options"


@dataclass(frozen=True, slots=True)
class BootServer:
    """The box as PCs of `network` see it. `loaders` are TFTP paths by architecture (option 93); `script` is an http URL
    that may contain IPXE_OWN_MAC."""

    address: IPv4Address
    network: IPv4Network
    loaders: Mapping[int, str]
    script: str

    @property
    def by_loader(self) -> dict[str, tuple[int, ...]]:
        """The architectures by loader."""
        names = dict.fromkeys(self.loaders.values())
        return {name: tuple(number for number, each in self.loaders.items() if each == name) for name in names}


def render(product: DhcpProduct, way: HandOver, box: BootServer) -> str:
    """Return the text to paste; raises ValueError when the server does not support that way."""
    if way not in product.ways:
        raise ValueError(f"{product} does not support the way {way}: it does not run on the host of {box.address}")
    match product, way:
        case DhcpProduct.DNSMASQ, HandOver.PXE:
            body = _DNSMASQ_PXE
        case DhcpProduct.DNSMASQ, _:
            body = _dnsmasq(box)
        case DhcpProduct.ISC, HandOver.PXE:
            body = _ISC_PXE
        case DhcpProduct.ISC, _:
            body = _isc(box)
        case DhcpProduct.KEA, HandOver.PXE:
            body = _kea([{"name": "netboot", "test": _KEA_PXE, "option-data": [_KEA_OPTION_60]}])
        case DhcpProduct.KEA, _:
            body = _kea(_kea_classes(box))
        case DhcpProduct.WINDOWS, _:
            body = _windows(box)
        case _:
            body = _mikrotik(box)
    mark = "//" if product is DhcpProduct.KEA else "#"
    return "\n".join(f"{mark} {line}" for line in _head(product, way, box)) + "\n\n" + body


def _head(product: DhcpProduct, way: HandOver, box: BootServer) -> list[str]:
    where, then, tried = _PLACES[product]
    lines = [f'netboot-appliance at {box.address}, way "{way}": {_WAYS[way]}']
    lines += [f"Where: {where}", f"Then:  {then}", f"Tried: {tried}"]
    if way is HandOver.OPTIONS:
        lines.append(
            "PCs:   only on the box's own segments; behind a router they are refused, because these paths name no MAC"
        )
    lines.append('Box:   [dhcp] mode = "off" in its configuration, then: systemctl restart netboot-appliance')
    lines.append("Check: netboot-appliance doctor, and netboot-appliance doctor probe MAC")
    return lines


_WAYS = {
    HandOver.PXE: "option 60, so that PCs ask the box on UDP port 4011 for their boot files",
    HandOver.OPTIONS: "this server names the boot files (options 66 and 67)",
}
_PLACES = {
    DhcpProduct.DNSMASQ: (
        "a file of its own, /etc/dnsmasq.d/netboot-appliance.conf",
        "dnsmasq --test && systemctl restart dnsmasq",
        "with dnsmasq 2.90, and EDK2 and iPXE as firmware",
    ),
    DhcpProduct.ISC: (
        "the end of /etc/dhcp/dhcpd.conf",
        "dhcpd -t && systemctl restart isc-dhcp-server",
        "with isc-dhcp-server 4.4.3-P1, and EDK2 and iPXE as firmware",
    ),
    DhcpProduct.KEA: (
        '/etc/kea/kea-dhcp4.conf, right after "Dhcp4": {  (or into its "client-classes", if it has any)',
        "kea-dhcp4 -t /etc/kea/kea-dhcp4.conf && systemctl restart kea-dhcp4-server",
        "with kea-dhcp4 2.2.0, and EDK2 and iPXE as firmware",
    ),
    DhcpProduct.WINDOWS: (
        "PowerShell as administrator on the DHCP server, Windows Server 2012 or newer",
        "nothing: it takes effect at once",
        "NOT tried; written from the documentation of the DhcpServer module",
    ),
    DhcpProduct.MIKROTIK: (
        "a terminal on the router, RouterOS 7.16 or newer; first fill in the names of its server and pool",
        "nothing: it takes effect at once",
        "NOT tried; written from the documentation of RouterOS",
    ),
}

# dnsmasq(8). Forced, so that clients that do not ask for option 60 get it too.
_DNSMASQ_PXE = """\
dhcp-vendorclass=set:netboot,PXEClient
dhcp-option-force=tag:netboot,60,PXEClient
"""


def _dnsmasq(box: BootServer) -> str:
    # Many ROMs read only the header's fields. Without dhcp-no-override dnsmasq leaves these empty for clients that ask
    # for options 66 and 67.
    lines = ["dhcp-no-override", "dhcp-userclass=set:netboot-ipxe,iPXE"]
    lines += [f"dhcp-match=set:netboot-{number},option:client-arch,{number}" for number in box.loaders]
    lines += [
        f"dhcp-boot=tag:netboot-{number},tag:!netboot-ipxe,{name},,{box.address}"
        for number, name in box.loaders.items()
    ]
    lines.append(f"dhcp-boot=tag:netboot-ipxe,{box.script},,{box.address}")
    return "\n".join(lines) + "\n"


# dhcp-eval(5), dhcp-options(5): its own name for option 93 is pxe-system-type.
_ISC_PXE = """\
class "netboot" {
  match if substring(option vendor-class-identifier, 0, 9) = "PXEClient";
  option vendor-class-identifier "PXEClient";
}
"""


def _isc(box: BootServer) -> str:
    text = 'class "netboot" {\n  match if substring(option vendor-class-identifier, 0, 9) = "PXEClient";\n'
    text += f'  next-server {box.address};\n  if option user-class = "iPXE" {{\n    filename "{box.script}";\n  }}'
    for name, numbers in box.by_loader.items():
        tests = (f"substring(option pxe-system-type, 0, 2) = {n >> 8:02x}:{n & 255:02x}" for n in numbers)
        text += f' elsif {" or ".join(tests)} {{\n    filename "{name}";\n  }}'
    return text + "\n}\n"


# Kea Administrator Reference Manual, "Client Classification". A comma at the end of a list is allowed.
_KEA_PXE = "substring(option[60].hex,0,9) == 'PXEClient'"
_KEA_OPTION_60 = {"name": "vendor-class-identifier", "data": "PXEClient", "always-send": True}


def _kea_classes(box: BootServer) -> list[dict[str, object]]:
    own = {"next-server": str(box.address)}
    ipxe = f"{_KEA_PXE} and option[77].hex == 'iPXE'"
    classes: list[dict[str, object]] = [{"name": "netboot-ipxe", "test": ipxe, **own, "boot-file-name": box.script}]
    for name, numbers in box.by_loader.items():
        either = " or ".join(f"substring(option[93].hex,0,2) == 0x{number:04x}" for number in numbers)
        test = f"{_KEA_PXE} and not member('netboot-ipxe') and ({either})"
        label = "netboot-" + "-".join(map(str, numbers))
        classes.append({"name": label, "test": test, **own, "boot-file-name": name})
    return classes


def _kea(classes: list[dict[str, object]]) -> str:
    return f'"client-classes": {json.dumps(classes, indent=2)},\n'


def _windows(box: BootServer) -> str:
    # learn.microsoft.com, module DhcpServer: Add-DhcpServerv4Class, Add-DhcpServerv4Policy (a class's name with `*`
    # matches whatever follows its data), Set-DhcpServerv4OptionValue. The policy with the lower order wins.
    # Single quotes, because `$` begins a variable in double quotes.
    text = f"$scope = '{box.network.network_address}'    # see the scopes with: Get-DhcpServerv4Scope\n"
    text += "Add-DhcpServerv4Class -Name 'netboot iPXE' -Type User -Data 'iPXE'\n"
    policies = [("netboot iPXE", "-UserClass EQ,'netboot iPXE'", box.script)]
    for number, name in box.loaders.items():
        label = f"netboot {number}"
        text += f"Add-DhcpServerv4Class -Name '{label}' -Type Vendor -Data 'PXEClient:Arch:{number:05}'\n"
        policies.append((label, f"-VendorClass EQ,'{label}*'", name))
    for order, (label, condition, file) in enumerate(policies, 1):
        policy = f"-ScopeId $scope -Name '{label}' -Condition OR {condition} -ProcessingOrder {order}"
        text += f"Add-DhcpServerv4Policy {policy}\n"
        for option, value in ((66, str(box.address)), (67, file)):
            text += f"Set-DhcpServerv4OptionValue -ScopeId $scope -PolicyName '{label}' -OptionId {option} "
            text += f"-Value '{value}'\n"
    return text


def _mikrotik(box: BootServer) -> str:
    # help.mikrotik.com, "DHCP", Option Sets and Generic matcher. Matchers are tried in order; a matcher gives out
    # addresses of the pool that it names. `$` begins a variable, so it is written with a backslash.
    text = ':global netbootServer "dhcp1"\n:global netbootPool "dhcp_pool1"\n'
    files = {"ipxe": (box.script.replace("$", "\\$"), 77, "iPXE", "exact")}
    for number, name in box.loaders.items():
        files[str(number)] = (name, 60, f"PXEClient:Arch:{number:05}", "substring")
    text += f'/ip/dhcp-server/network set [find address="{box.network}"] next-server={box.address}\n'
    text += f"/ip/dhcp-server/option add name=netboot-66 code=66 value=\"s'{box.address}'\"\n"
    for label, (file, code, value, matching) in files.items():
        name = f"netboot-{label}"
        text += f"/ip/dhcp-server/option add name={name} code=67 value=\"s'{file}'\"\n"
        text += f"/ip/dhcp-server/option/sets add name={name} options=netboot-66,{name}\n"
        text += f"/ip/dhcp-server/matcher add name={name} server=$netbootServer address-pool=$netbootPool code={code} "
        text += f'matching-type={matching} value="{value}" option-set={name}\n'
    return text
