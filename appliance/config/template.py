"""The text of a new configuration file, in which each setting is a comment with its default. PURE."""

TEMPLATE = """\
# The configuration of netboot-appliance. Lines that begin with # show the defaults. After a change:
# netboot-appliance config check, then systemctl reload netboot-appliance (without systemd: netboot-appliance reload).

[server]
# The interface to the PCs. Found here: {interface} with {address}.
interfaces = ["{interface}"]
# data = "/var/lib/netboot-appliance"    # images, the PCs' work, the registry
# http_port = 80

[dhcp]
# mode = "proxy"                         # "off" if another DHCP server on this host has port 67: see
                                         # netboot-appliance config dhcp
                                         # "server" if there is no DHCP server: needs a pool, see docs/dhcp.md
# pool = []                              # addresses to give out: ["10.77.0.100-10.77.0.200"]
# lease_time = 3600                      # seconds
# router = []                            # sent to PCs; "10.88.0.1/24" also names the network behind a relay
# relays = []                            # relays that are in none of the networks under [nfs]: ["10.99.0.1"]
# dns = []
# ntp = []                               # PCs in the live system ask them too, whoever the DHCP server is
# static = []                            # a fixed address for one PC: ["52:54:00:aa:bb:cc=10.77.0.50"]
# unknown = "lease"                      # "ignore": PCs that may not boot get no address
# force = false                          # true: start even if another DHCP server answers

[tftp]
# ports = "shared"                       # all transfers from port 69; "session": one port per transfer, for clients
                                         # and firewalls that insist on it

[boot]
# Boot loaders of your own in this directory are used before those of Debian's packages: docs/booting.md.
# directory = "/etc/netboot-appliance/loaders"

[boot.loaders]
# A file for each kind of firmware; "" refuses that kind.
# bios = "undionly.kpxe"                 # "pxelinux.0" where HTTP is blocked
# uefi_x64 = "snponly.efi"               # "ipxe.efi" if this one hangs on your PCs; "shimx64.efi": Secure Boot
# uefi_ia32 = ""
# uefi_arm64 = ""
# raspberry_pi = ""                      # a folder with the files that Raspberry Pis ask for

[menu]
# What PCs can choose from: boinc, local, previous, memtest, rescue, reboot, image:RELEASE; docs/menu.md.
# entries = ["boinc", "local", "reboot"]
# default = "boinc"
# timeout = 0                            # seconds to show the menu; 0: no menu, the default starts at once
# locked = []                            # entries that need the password: netboot-appliance menu password
# password = ""                          # for iPXE
# grub_password = ""                     # for GRUB (Secure Boot)

[nfs]
# Nothing is exported outside these networks. Default: those of the interfaces ({network}).
# networks = ["{network}"]
# Hosts there that mount somebody else's exports from this server; all others are kept from the NFS ports.
# others = ["10.0.0.7"]
# Behind a router: its MAC address, else the one it has when it is first needed.
# routers = ["10.0.0.1=52:54:00:aa:bb:cc"]
# backend = "auto"                       # auto, kernel or ganesha
# state_limit = 20                       # GB that each PC may keep on the server

[project]
# The BOINC project that every PC joins. Preferably a weak account key: all it can do is attach computers.
# url = "https://www.worldcommunitygrid.org/"
# account_key = "1234_0123456789abcdef0123456789abcdef"

[boinc]
# The addresses from which BOINC Manager may connect. Its passwords: netboot-appliance clients show MAC
# management_hosts = []
# network = "internet"                   # "all": BOINC and its applications may reach the local network too
# lan = []                               # what they may reach of it with "internet": ["10.0.0.8", "10.1.0.0/24"]

[boinc.preferences]
# How much of a PC BOINC may use. The names are those of BOINC's global_prefs_override.xml.
# max_ncpus_pct = 100.0
# start_hour = 18.0
# end_hour = 7.0

[image]
# Packages to install in the live system in addition to its own.
# packages = []
# firmware = false                       # true: add non-free firmware, for network cards that need it
# kernel_arguments = []
# time_zone = ""                         # "Europe/Berlin": what start_hour means; default: the server's own
# root = "nfs"                           # "http": load the system into each PC's memory; for some PCs: allow add --root
"""
