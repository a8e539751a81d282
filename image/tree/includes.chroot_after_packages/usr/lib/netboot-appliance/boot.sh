# shellcheck shell=sh disable=SC2034,SC2013
# What the kernel command line says of this boot, and how to tell people and the server about it.
# Sourced by the scripts of the initramfs (busybox) and of the live system: POSIX sh only.

# parameter NAME: print the value of NAME= on the kernel command line.
parameter() {
	for word in $(cat /proc/cmdline); do
		case $word in
			"$1="*) printf '%s' "${word#*=}" && return ;;
		esac
	done
}

nfsroot=$(parameter nfsroot)
SERVER=${nfsroot%%:*}
bootif=$(parameter BOOTIF)
MAC=$(printf '%s' "${bootif#01-}" | tr -d -)
NAME=boinc-$MAC
STATE=$(parameter netboot_appliance.state)
BOX=http://$SERVER:$(parameter netboot_appliance.port)/boot/$MAC/$(parameter netboot_appliance.token)

# interface: print the name of the boot interface; it is known by its MAC address, never by its name.
interface() {
	for device in /sys/class/net/*; do
		if [ "$(tr -d : < "$device/address")" = "$MAC" ]; then
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

# say TEXT: one line for whoever stands at the screen or reads the serial port, and for the journal.
say() {
	echo "$NAME: $1"
	for console in $(cat /sys/class/tty/console/active); do
		printf '\r\n%s: %s\r\n' "$NAME" "$1" > "/dev/$console"
	done 2> /dev/null || true
}

# report STAGE [KEY=VALUE]...: tell the server how far this boot is; never fails, returns within a few seconds.
report() {
	form=stage=$1
	shift
	read -r uptime _ < /proc/uptime
	# Whatever would need escaping in a form becomes a space.
	for pair in "uptime=$uptime" "$@"; do
		form="$form&${pair%%=*}=$(printf '%s' "${pair#*=}" | tr -c 'A-Za-z0-9._:/-' + | head -c 300)"
	done
	# timeout, because wget -T crashes in Debian 12's busybox.
	timeout 5 busybox wget -q -O /dev/null --post-data "$form" "$BOX/report" 2> /dev/null || true
}
