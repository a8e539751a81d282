# shellcheck shell=sh disable=SC2034
# What the kernel command line says about this boot, and how to tell people and the server about it.
# Sourced by the scripts of the initramfs (busybox) and of the live system: POSIX sh only.

# Our requests go to the server itself, whatever proxy BOINC is given: busybox wget knows no exceptions from one.
unset http_proxy

NAME=
read -r command_line < /proc/cmdline
for word in $command_line; do
	value=${word#*=}
	case $word in
		nfsroot=*) SERVER=${value%%:*} ;;
		fetch=http://*)
			SERVER=${value#http://}
			SERVER=${SERVER%%[:/]*}
			;;
		BOOTIF=*) bootif=${value#01-} ;;
		netboot_appliance.port=*) port=$value ;;
		netboot_appliance.token=*) token=$value ;;
		netboot_appliance.state=*) STATE=$value ;;
		netboot_appliance.network=*) NETWORK=$value ;;
		netboot_appliance.memory=*) NEEDED=$value ;;
		netboot_appliance.layers=*) LAYERS=$value ;;
		netboot_appliance.zone=*) ZONE=$value ;;
		netboot_appliance.name=*) NAME=$value ;;
		netboot_appliance.live=*) LIVE=$value ;;
		netboot_appliance.ntp=*) NTP=$value ;;
	esac
done
# The ramdisk leaves its choice here when the command line names no card (see 9999-netboot-appliance).
if [ -z "${bootif:-}" ] && [ -r /run/netboot-bootif ]; then
	read -r bootif < /run/netboot-bootif
fi
# The token that took the place of the one on the command line, which every program can read (see exchange).
if [ -r /run/netboot-appliance/token ]; then
	read -r token < /run/netboot-appliance/token || true
fi

# split BOOTIF: set MAC to its digits, and $hardware_address to the form of the kernel. Many programs source this, each of
# them several times in a boot: it starts none.
split() {
	IFS=-
	# shellcheck disable=SC2086 # one word per byte
	set -- $1
	IFS=
	MAC=$*
	IFS=:
	hardware_address=$*
	unset IFS
}
split "${bootif:-}"
NAME=${NAME:-boinc-$MAC}
BOX=http://${SERVER:-}:${port:-80}/boot/$MAC/${token:-}

# interface: print the name of the boot interface, found by its MAC address.
interface() {
	for device in /sys/class/net/*; do
		read -r hardware < "$device/address"
		if [ "$hardware" = "$hardware_address" ]; then
			printf '%s' "${device##*/}"
			return
		fi
	done
	return 1
}

# address: print the IPv4 address of the boot interface.
address() {
	ip -4 -o address show dev "$(interface)" scope global | sed -n '1s/.* inet \([0-9.]*\).*/\1/p'
}

# search_list TEXT: print it as a line of resolv.conf; fails if it is anything but names.
search_list() {
	case $1 in
		"" | *[!A-Za-z0-9._\ -]*) return 1 ;;
	esac
	printf 'search %s\n' "$1"
}

# as_boinc [-t SECONDS] COMMAND...: run it as the user boinc. In the state directory root would follow any link that a
# science application put there. With -t it is killed after so many seconds, by root: applications are the same user and
# could stop it, or a timeout of that user.
as_boinc() {
	limit=
	[ "$1" != -t ] || { limit=$2 && shift 2; }
	${limit:+timeout -s KILL "$limit"} setpriv --reuid=boinc --regid=boinc --clear-groups --no-new-privs -- "$@"
}

# say TEXT: print one line on the screen, the serial port and in the journal. The screen of the agent shows the last one.
# In a subshell: a service that opens a terminal itself would get its Ctrl-C.
say() {
	echo "$1"
	read -r consoles < /sys/class/tty/console/active
	(
		for console in $consoles; do
			printf '\r\n%s: %s\r\n' "$NAME" "$1" > "/dev/$console"
		done
		[ ! -d /run/netboot-appliance ] || printf '%s' "$1" > /run/netboot-appliance/said
	) 2> /dev/null || true
}

# set_clock SECONDS: set the clock to the server's time, in seconds since 1970, if it is off by more than a few seconds.
# An NTP server knows better, and a time before the image was built is wrong. Only for the live system.
set_clock() {
	case $1 in
		"" | 0* | *[!0-9]* | ???????????*) return 0 ;;
	esac
	[ ! -e /run/systemd/timesync/synchronized ] || return 0
	[ "$1" -ge "$(stat -c %Y /var/lib/dpkg/status)" ] || return 0
	ahead=$(($(date +%s) - $1))
	if [ "$ahead" -gt 5 ] || [ "$ahead" -lt -5 ]; then
		date -u -s "@$1" > /dev/null
		echo "the clock was $ahead seconds ahead of the server's: set"
	fi
}

# report STAGE [KEY=VALUE]...: tell the server how far this boot is; fails within seconds when the server does not answer.
report() {
	form=stage=$1
	shift
	read -r uptime _ < /proc/uptime
	for pair in "uptime=$uptime" "$@"; do
		value=${pair#*=}
		case $value in
			# Characters that a form would have to escape become spaces.
			*[!A-Za-z0-9._:/,\;=-]*) value=$(printf '%s' "$value" | tr -c 'A-Za-z0-9._:/,;=-' + | head -c 300) ;;
		esac
		form="$form&${pair%%=*}=$value"
	done
	# timeout, because wget -T crashes in Debian 12's busybox.
	timeout 5 busybox wget -q -O /dev/null --post-data "$form" "$BOX/report" 2> /dev/null
}
