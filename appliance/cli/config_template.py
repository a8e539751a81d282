"""The commented file that `config init` writes. `{interface}`, `{address}`, `{network}`: what was found here."""

TEMPLATE = """\
# netboot-appliance: the configuration. After a change: netboot-appliance config check, then
# systemctl reload netboot-appliance (by hand: netboot-appliance reload). Lines with # show the defaults.

[server]
# The interface to the PCs. Found here: {interface} with {address}.
interfaces = ["{interface}"]
# data = "/var/lib/netboot-appliance"    # images, the PCs' work, the registry
# http_port = 80

[dhcp]
# mode = "proxy"                         # "off" where another DHCP server has port 67: netboot-appliance config dhcp
                                         # "server" where there is none: then give a pool; docs/dhcp.md
# pool = []                              # addresses to give out: ["10.77.0.100-10.77.0.200"]
# lease_time = 3600                      # seconds
# router = []                            # told to PCs; "10.88.0.1/24" also names the network behind a relay
# dns = []
# ntp = []
# static = []                            # one PC's own address: ["52:54:00:aa:bb:cc=10.77.0.50"]
# unknown = "lease"                      # "ignore": PCs that may not boot get no address
# force = false                          # true: start even if another DHCP server answers

[tftp]
# ports = "shared"                       # all from port 69; "session": a port per transfer, for clients that need it

[boot]
# Your own boot loaders in this directory take precedence over those of Debian's packages; docs/booting.md.
# directory = "/etc/netboot-appliance/loaders"

[boot.loaders]
# A file for each kind of firmware; "" refuses that kind.
# bios = "undionly.kpxe"                 # "pxelinux.0" where HTTP is closed
# uefi_x64 = "snponly.efi"               # "ipxe.efi" for cards on which this one hangs; "shimx64.efi": Secure Boot
# uefi_ia32 = ""
# uefi_arm64 = ""
# raspberry_pi = ""                      # a folder with the files that Raspberry Pis ask for

[menu]
# What PCs may choose from: boinc, local, previous, memtest, rescue, reboot, image:RELEASE; docs/menu.md.
# entries = ["boinc", "local", "reboot"]
# default = "boinc"
# timeout = 0                            # seconds to show the menu; 0: no menu, the default boots at once
# locked = []                            # entries that need the password: netboot-appliance menu password
# password = ""                          # for iPXE
# grub_password = ""                     # for GRUB (Secure Boot)

[nfs]
# Nothing is exported outside these networks. Default: those of the interfaces ({network}).
# networks = ["{network}"]
# backend = "auto"                       # auto, kernel or ganesha

[project]
# The BOINC project that every PC joins. Preferably use a weak account key: it can only attach computers.
# url = "https://www.worldcommunitygrid.org/"
# account_key = "1234_0123456789abcdef0123456789abcdef"

[boinc]
# Where BOINC Manager may connect from. The passwords: netboot-appliance clients show MAC
# management_hosts = []

[boinc.preferences]
# How much of a PC the work may use; the names are those of BOINC's global_prefs_override.xml.
# max_ncpus_pct = 100.0
# start_hour = 18.0
# end_hour = 7.0

[image]
# What goes into the live system besides what it needs.
# packages = []
# firmware = false                       # non-free firmware, for network cards that need it
# kernel_arguments = []
# root = "nfs"                           # or "http": into each PC's memory; for some PCs: allow add --root
"""
