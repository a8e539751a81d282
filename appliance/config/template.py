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
# largest_block = 1468                   # bytes; more only where all of the way to the PCs takes jumbo frames

[boot]
# Boot loaders of your own in this directory are used before those of the image: docs/booting.md.
# directory = "/etc/netboot-appliance/loaders"

[boot.loaders]
# A file for each kind of firmware; "" refuses that kind.
# bios = "undionly.kpxe"                 # "pxelinux.0" where HTTP is blocked
# uefi_x64 = "snponly.efi"               # "ipxe.efi" if this one hangs on your PCs; "shimx64.efi": Secure Boot
# uefi_ia32 = ""
# uefi_arm64 = "ipxe-arm64.efi"          # in images of Debian 13
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
#
# In place of [project]: several of them, each in a [[projects]] with url and account_key. They may have, too:
#   resource_share = 100                 # its part; the account's preferences on its website win: docs/operations.md
#   backup = true                        # only while no other project has work
#   for = ["52:54:00:*", "room 12"]      # the PCs that join it: ranges of MAC addresses, labels
# Or, in place of both, an account manager that names the projects. Either password or login_hash:

[account_manager]
# url = ""                               # "https://bam.boincstats.com/"
# name = ""
# password = ""
# login_hash = ""

[boinc]
# The addresses from which BOINC Manager may connect. Its passwords: netboot-appliance clients show MAC
# management_hosts = []
# network = "internet"                   # "all": BOINC and its applications may reach the local network too
# lan = []                               # what they may reach of it with "internet": ["10.0.0.8", "10.1.0.0/24"]
# proxy = ""                             # "http://10.0.0.8:3128": for BOINC only, the PCs reach this server without it
# no_proxy = []                          # hosts that BOINC reaches without it: ["project.example.org"]
# ca_file = ""                           # certificates (PEM) that BOINC trusts beside Debian's

[boinc.preferences]
# How much of a PC BOINC uses, and when, whatever the account's preferences on the project's website say. The names are
# those of BOINC's global_prefs_override.xml. Percentages:
# max_ncpus_pct = 100                    # of the processor's cores
# cpu_usage_limit = 100                  # of the time
# suspend_cpu_usage = 0                  # pause while other programs use more; 0: never
# ram_max_used_busy_pct = 60             # of the memory, while somebody uses the PC, and while nobody does
# ram_max_used_idle_pct = 60
# vm_max_used_pct = 75
# disk_max_used_pct = 90                 # of the PC's space on this server
# When. Hours are those of the PC's clock, from the first to the second, over midnight if that is lower.
# start_hour = 0                         # 18
# end_hour = 24                          # 7.5
# net_start_hour = 0                     # the same for the network
# net_end_hour = 24
# run_on_batteries = true
# run_if_user_active = true
# idle_time_to_run = 3                   # minutes without keys and mouse until nobody uses the PC
# suspend_if_no_recent_input = 0         # pause after so many minutes without them; 0: never
# How much.
# disk_max_used_gb = 10
# disk_min_free_gb = 0.1
# disk_interval = 300                    # seconds between checkpoints, at least
# leave_apps_in_memory = false           # true: paused tasks stay in memory, else in their last checkpoint
# cpu_scheduling_period_minutes = 60     # between projects
# work_buf_min_days = 0.1                # work to fetch in advance, at least
# work_buf_additional_days = 0.25        # and more than that
# max_bytes_sec_down = 0                 # 0: no limit
# max_bytes_sec_up = 0
# daily_xfer_limit_mb = 0                # at most so many megabytes, 0: no limit
# daily_xfer_period_days = 0             # in so many days
#
# Other preferences for some PCs, each group in a [[boinc.exceptions]], with the same names and:
#   for = ["52:54:00:*", "room 12"]      # ranges of MAC addresses, labels; the narrowest range counts

[live]
# What PCs are told at each boot. No image has to be built for it: docs/operations.md.
# time_zone = ""                         # "Europe/Berlin": what start_hour means; default: the server's own
# host_name = "boinc-{{mac}}"              # "{{label}}-{{mac4}}": the range's label, the last four digits
# keyboard = ""                          # "de", "de/nodeadkeys"; for who logs in at the PC, see there
# proxy = ""                             # "http://10.0.0.8:3128": for the system, and for BOINC without one of its own
# no_proxy = []                          # hosts that are reached without it
# ca_file = ""                           # certificates (PEM) that all programs trust beside Debian's
# ssh_keys = []                          # whose owners get in as root by SSH: ["ssh-ed25519 AAAA… admin"]; none: no SSH
# directory = "/etc/netboot-appliance/live"   # all/files/etc/motd becomes /etc/motd; all/hooks/* are run at each boot
# overlay = []                           # such directories there, beside "all": ["lab"]
#
# Other settings for some PCs, each group in a [[live.exceptions]], with the same names (but directory) and:
#   for = ["52:54:00:*", "room 12"]      # ranges of MAC addresses, labels; the narrowest range counts

# When PCs compute, and what they do when that time ends: a [schedules.NAME] each, given to PCs with
# netboot-appliance allow set RANGE --schedule NAME. Such as:
#
#   [schedules.night]
#   windows = ["Mon-Fri 19:00-06:30", "Sat-Sun"]   # "Mon,Wed 12:00-14:00", "22:00-06:00": every day
#   at_start = "nothing"                 # "wake": this server switches them on, see [wake]
#   at_end = "power off"                 # "reboot to local disk", "suspend BOINC", "nothing"
#   grace = 600                          # seconds in which PCs finish work before that
#   respite = 3600                       # seconds in which a PC is left alone that its owner took back by a key
#   holidays = ["2026-12-24"]            # whole days to compute; or a file of them: "/etc/netboot-appliance/holidays"
#   time_zone = ""                       # "Europe/Berlin"; default: as in [live]

[wake]
# How PCs are switched on over the network: netboot-appliance wake MAC, or at_start of a schedule. docs/operations.md
# says what a PC needs for it.
# per_minute = 30                        # packets, sent evenly: a room that starts at once blows its fuses
# retry_every = 60                       # seconds until a PC that is not seen gets the next one
# tries = 5                              # packets for each PC, then it is named as one that did not come
#
# Cards with a SecureOn password, each in a [[wake.passwords]] with:
#   for = ["52:54:00:*", "room 12"]      # ranges of MAC addresses, labels; the narrowest range counts
#   password = "00:11:22:33:44:55"       # six bytes, or four: "192.168.1.1"

[notify]
# Who is told what happens here: mail addresses, and URLs of apprise's (ntfys://…, slack://…, json://… for a webhook).
# Try it: netboot-appliance notify test
# addresses = []                         # ["admin@example.org"]
# page = ""                              # where links lead: "https://boot.example.org:8443/"; default: this host's page
# quiet = []                             # ["22:00-06:30", "Sat-Sun"]: tell then what is still so afterwards

[notify.mail]
# The mail server for mail addresses.
# host = ""                              # "mail.example.org"
# port = 0                               # 0: 587 for starttls, 465 for tls, 25 for none
# encryption = "starttls"                # "tls" from the first byte, or "none"
# user = ""
# password = ""
# from = ""                              # the sender; default: netboot-appliance at this host

[notify.rules]
# What is told. 0, false, "off" or "" switches a rule off.
# booted = "new"                         # PCs that came up for the first time; "all": each time
# faults = true                          # PCs that do not come up, or cannot compute: cause and cure
# silent = 10                            # PCs without a heartbeat for so many minutes
# key_refused = true                     # a project refuses the account key
# no_work = 6                            # hours for which PCs found no work, or a project was away
# task_errors = 20                       # per cent of a day's tasks that failed
# images = true                          # built, failed, activated, rolled back
# canary = true                          # a canary image was promoted or rolled back
# not_woken = true                       # PCs that did not come when they were woken
# kept_work = true                       # the work of a forgotten PC is deleted in two days
# disk = 90                              # per cent of the server's disk in use
# network = true                         # an address that another machine claims, a DHCP server that is new
# server = true                          # the box itself: not running, exports not in force
# digest = "Mon 08:00"                   # the week in figures

[image]
# What the PCs boot: docs/images.md. Your packages, files and hooks: netboot-appliance image recipe new boinc
# packages = []                          # in the live system beside its own
# distribution = "trixie"                # Debian 13; "bookworm": Debian 12
# backports = false                      # true: the newer kernel of its backports, for cards that are newer still
# firmware = "network"                   # of network cards and processors; "all": of servers' cards too; or "none"
# kernel_arguments = []
# keep = 3                               # newest releases that image prune keeps, beside those that are needed
# require_signature = false              # true: only what a trusted key has signed is activated: image key list
# snapshot = ""                          # "20261101T000000Z": made from the archive as it was then, which is kept at
# snapshot_mirror = ""                   # "http://mirror.example.org/archive/{{archive}}/{{snapshot}}"
# test = false                           # true: image update boots a new one in an emulated PC first, if QEMU is there
# canary = ""                            # "1-per-label", a label or a range: image update gives it to these PCs first
# root = "nfs"                           # "http": load the system into each PC's memory; for some PCs: allow add --root

[control]
# The page that shows the room, and its API: docs/operations.md. Its password: netboot-appliance control password
# enabled = true
# listen = ":8443"                       # "127.0.0.1:8443": from this server only
# networks = []                          # who may connect at all: ["10.0.0.0/24"]; default: management_hosts if there
                                         # are any, else the networks of the interfaces
# names = []                             # of the page, beside the host's own: ["netboot.example.org"]
# certificate = ""                       # PEM; default: one that the box makes for itself
# key = ""
# view_without_login = false             # true: whoever may connect may look
# behind_proxy = false                   # true: plain HTTP for a reverse proxy on this server; needs a loopback address
# metrics_per_pc = false                 # true: /metrics has series for each PC; for a few hundred PCs at most
# Other boxes, whose PCs this page counts too: each in a [[control.boxes]] with name, url, token_file and fingerprint.

[history]
# How much of the PCs' past is kept. A boot takes 1 kB, and with all that happened in it 3 kB.
# boots = 400                            # of each PC
# events = 20                            # the last of these boots with all that happened in them
# days = 400                             # days with figures: power, core-hours, credit
"""
