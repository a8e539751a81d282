# shellcheck shell=bash
# What the heartbeat says about this PC: the head of its body. Sourced by the agent; needs boot.sh and $RUN.

# fact KEY VALUE: one line of the head, if there is a value.
fact() {
	local value=${2:0:200}
	value=${value//[![:print:]]/ }
	[ -z "${value// /}" ] || printf '%s=%s\n' "$1" "$value"
}

# first FILE: its first line, or nothing.
first() {
	local line=
	[ ! -r "$1" ] || read -r line < "$1"
	printf '%s' "$line"
} 2> /dev/null

# uptime: print the whole seconds since power-on. Unlike the clock they never jump.
uptime() {
	local seconds
	read -r seconds _ < /proc/uptime
	printf '%s' "${seconds%%.*}"
}

# hottest: print the highest temperature, in degrees Celsius.
hottest() {
	cat /sys/class/thermal/thermal_zone*/temp /sys/class/hwmon/hwmon*/temp*_input 2> /dev/null |
		awk '/^[0-9]+$/ && $1 > most && $1 < 150000 { most = $1 } END { if (most) printf "%d", most / 1000 }'
}

# card: print the driver and the PCI or USB id of the boot card.
card() {
	local device driver
	device=$(readlink -f "/sys/class/net/$(interface)/device") || return
	driver=$(readlink "$device/driver")
	printf '%s' "${driver##*/}"
	if [ -r "$device/vendor" ]; then
		printf ' pci %s' "$(first "$device/vendor"):$(first "$device/device")" | sed 's/0x//g'
	elif [ -r "$device/../idVendor" ]; then
		printf ' usb %s:%s' "$(first "$device/../idVendor")" "$(first "$device/../idProduct")"
	fi
	[ ! -r /run/netboot-borrowed ] || printf ' %s' "$(first /run/netboot-borrowed)"
}

# storage PCI-DEVICES: print the disk controllers that the PC has, each with its driver. The image has no driver for
# any of them: no disk is ever seen behind them.
storage() {
	local device kind driver found=
	for device in "$1"/*; do
		case $(first "$device/class") in
			0x0101*) kind=IDE ;;
			0x0104*) kind=RAID ;;
			0x0106*) kind=SATA ;;
			0x0108*) kind=NVMe ;;
			0x01*) kind=storage ;;
			*) continue ;;
		esac
		driver=$(readlink "$device/driver")
		driver=${driver##*/}
		found="$found, $kind $(first "$device/vendor"):$(first "$device/device") (${driver:-no driver})"
	done
	found=${found//0x/}
	printf '%s' "${found#, }"
}

FIXED=

# fixed: what does not change while the PC runs.
fixed() {
	fact cores "$(nproc)"
	fact card "$(card)"
	fact storage "$(storage /sys/bus/pci/devices)"
	fact model "$(first /sys/class/dmi/id/sys_vendor) $(first /sys/class/dmi/id/product_name)"
	fact cpu "$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)"
}

state_checker='' state_checked=-1000

# look_at_state: find out how the state directory is, in the background: with the server away every call for a file in it
# waits. The answer is in $RUN/state: a word, and the free megabytes. It writes a file every ten minutes.
look_at_state() {
	if [ -n "$state_checker" ] && kill -0 "$state_checker" 2> /dev/null; then
		echo stalled > "$RUN/state"
		return
	fi
	local write=
	if [ "$(uptime)" -ge $((state_checked + 600)) ]; then
		write=1 state_checked=$(uptime)
	fi
	(
		timeout -s KILL 20 /usr/lib/netboot-appliance/state-health ${write:+write} > "$RUN/state.new" 2> /dev/null
		[ -s "$RUN/state.new" ] || echo stalled > "$RUN/state.new"
		mv "$RUN/state.new" "$RUN/state"
	) &
	state_checker=$!
	# Usually it is done at once.
	for _ in 1 2 3 4 5; do
		kill -0 "$state_checker" 2> /dev/null || break
		sleep 0.2
	done
}

# head BOINC: print the head of a heartbeat, without the orders.
head_lines() {
	local load health='' free='' memory
	read -r load _ < /proc/loadavg
	memory=$(awk '$1 == "MemTotal:" { total = $2 } $1 == "MemAvailable:" { free = $2 }
		END { printf "memory_mb=%d\nmemory_free_mb=%d\n", total / 1024, free / 1024 }' /proc/meminfo)
	fact uptime "$(uptime)"
	fact load "$load"
	printf '%s\n' "$memory"
	fact temperature "$(hottest)"
	fact clock "$(date +%s)"
	fact address "$(address)"
	fact boinc "$1"
	[ ! -r "$RUN/state" ] || read -r health free < "$RUN/state"
	fact state_directory "$health"
	fact state_free_mb "$free"
	fact files "$(first "$RUN/files-tag")"
	fact setup "$(first /run/netboot-setup)"
	fact leaving "$(first "$RUN/leaving")"
	[ ! -e "$RUN/closed" ] || fact window closed
	: "${FIXED:=$(fixed)}"
	printf '%s\n' "$FIXED"
}
