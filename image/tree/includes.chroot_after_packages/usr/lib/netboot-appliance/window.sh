# shellcheck shell=bash disable=SC2034,SC2154 # boot.sh and the agent set and use them
# When this PC's time to compute ends, and what it does then, whether the server answers or not. Sourced by the agent;
# needs orders.sh. An agent that is started again finds in $RUN what this boot was told. Times are uptimes: they never
# jump.
#   window   BEGIN END GRACE ACTION ID of the window that is open or comes next; its ID is its end by the server's clock
#   ended    the ID of the window that ended here last
#   ending   UNTIL ACTION: this PC finishes its work until then
#   closed   BOINC computes nothing until the next window

forbidden=no end_shown=''

# keep_window TIME WINDOW: remember what the server says, with its time; an empty WINDOW has no end.
keep_window() {
	local now end
	# One that ends just now is not followed by the next one before it has ended here.
	watch_window 2
	rm -f "$RUN/window"
	if [[ $2 =~ ^([1-9][0-9]{0,10})\ ([1-9][0-9]{0,10})\ (0|[1-9][0-9]{0,4})\ (off|disk|suspend)$ ]]; then
		[ "${BASH_REMATCH[2]}" != "$(first "$RUN/ended")" ] || return 0
		now=$(($(uptime) - $1))
		echo "$((now + BASH_REMATCH[1])) $((now + BASH_REMATCH[2])) ${BASH_REMATCH[*]:3:2} ${BASH_REMATCH[2]}" > "$RUN/window"
		end=$(the_end)
		if [ -n "$end" ] && [ "$end" != "$end_shown" ]; then say "computes until $end"; fi
		end_shown=$end
	elif [ -e "$RUN/closed" ]; then
		open_window
	fi
}

# watch_window [EARLY]: end the window when it is time, or so many seconds before; begin it if the one before has ended.
watch_window() {
	local begin end grace action id early
	[ -r "$RUN/window" ] || return 0
	read -r begin end grace action id < "$RUN/window"
	if [ "$(uptime)" -ge $((end - ${1:-0})) ]; then
		rm "$RUN/window"
		echo "$id" > "$RUN/ended"
		if [ "$action" = suspend ]; then
			say "the time to compute has ended: paused until the next one"
			touch "$RUN/closed"
			suspend || true
		elif [ ! -e "$RUN/leaving" ]; then
			# A room does not go in one second.
			early=$((grace / 4 < 30 ? grace / 4 : 30))
			echo "$((end + grace - RANDOM % (early + 1))) $action" > "$RUN/ending"
			say "the time to compute has ended: no new work; within $grace seconds this PC $(goes "$action")"
		fi
	elif [ -e "$RUN/closed" ] && [ "$(uptime)" -ge "$begin" ]; then
		open_window
	fi
}

# open_window: compute again, unless an order says otherwise.
open_window() {
	rm "$RUN/closed"
	say "the time to compute has begun"
	[ -e "$RUN/suspended" ] || go_on
}

# finish_window: after the end of a window, go as soon as everything is reported, or when it is time. The server is told,
# if it answers within half a minute.
finish_window() {
	local until action
	[ -e "$RUN/ending" ] || return 0
	read -r until action < "$RUN/ending"
	if [ -e "$RUN/leaving" ]; then
		if [ "$(uptime)" -ge $((until + 30)) ]; then
			echo "$(($(uptime) + 30)) $action" > "$RUN/ending"
			go
		fi
		return 0
	fi
	if [ "$boinc" = running ]; then
		if [ "$forbidden" = no ] && no_new_work; then forbidden=yes; fi
		if nothing_left; then until=0; else report_ended; fi
	fi
	if [ "$(uptime)" -ge "$until" ]; then
		echo "$(uptime) $action" > "$RUN/ending"
		echo "$action" > "$RUN/leaving"
		due=0
	fi
}

# forget_end: do no more of what the end of a window has begun.
forget_end() {
	rm -f "$RUN/closed" "$RUN/ending"
	forbidden=no
}

# until_window: print in how many seconds this has to be looked at again.
until_window() {
	local begin end until seconds=3600
	if [ -r "$RUN/window" ]; then
		read -r begin end _ < "$RUN/window"
		[ ! -e "$RUN/closed" ] || end=$begin
		seconds=$((end - $(uptime)))
	fi
	if [ -e "$RUN/ending" ]; then
		read -r until _ < "$RUN/ending"
		until=$((until - $(uptime)))
		seconds=$((until > 0 && until < 10 ? until : 10))
	fi
	printf '%s' "$seconds"
}

# the_end: print when the window ends, and what happens then, for the screen.
the_end() {
	local action id
	[ -r "$RUN/window" ] && [ ! -e "$RUN/closed" ] || return 0
	read -r _ _ _ action id < "$RUN/window"
	printf '%s, then this PC %s' "$(date -d "@$id" '+%a %H:%M')" "$(goes "$action")"
}
