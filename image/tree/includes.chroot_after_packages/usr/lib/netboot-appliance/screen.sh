# shellcheck shell=bash disable=SC2153,SC2154 # boot.sh and the agent set them
# What this PC computes, on its own screen, for whoever stands before it. Sourced by the agent; needs boinc.sh, facts.sh.
# The screen is drawn anew each time; the serial port gets a line per change, by `say`.

# plain TEXT LENGTH: print text from elsewhere, in one line that does not steer the terminal.
plain() {
	local text=${1:0:$2}
	printf '%s' "${text//[![:print:]]/?}"
}

# why_suspended NUMBER: BOINC's reason, in words; nothing for one that passes by itself in seconds.
why_suspended() {
	case $1 in
		1) printf 'the PC runs on its battery' ;;
		2) printf 'somebody uses the PC' ;;
		4) printf 'it was told to pause' ;;
		8) printf 'this is not the time of day to compute' ;;
		32) printf 'its disk space is used up' ;;
		128) printf 'nobody has used the PC for long' ;;
		256) printf 'BOINC has just started' ;;
		512) printf 'another program runs' ;;
		1024) printf 'the processor is busy with something else' ;;
		0 | 16 | 64 | '') ;;
		*) printf 'BOINC gives the reason %s' "$(plain "$1" 8)" ;;
	esac
}

# condition: set $condition to what this PC does, in words. BOINC's replies are in $RUN/poll.
condition() {
	local tasks running mode reason failing health
	[ ! -r "$RUN/state" ] || read -r health _ < "$RUN/state"
	if [ "$(first "$RUN/leaving")" = owner ]; then
		condition="a key was pressed: this PC saves its work, and then starts from its own disk"
		return
	fi
	if [ -e "$RUN/ending" ]; then
		read -r _ condition < "$RUN/ending"
		condition="finishing, since the time to compute has ended: soon this PC $(goes "$condition")"
		return
	fi
	if [ -e "$RUN/leaving" ]; then
		condition="by order of the server, this PC $(goes "$(first "$RUN/leaving")")"
		return
	fi
	if [ "$placed" != yes ]; then
		condition=$(plain "$(first "$RUN/said")" 200)
		condition=starting${condition:+: $condition}
		return
	fi
	case ${health:-ok} in
		stalled) condition="waiting: the server does not answer for this PC's state directory; work goes on when it does" && return ;;
		full) condition="no space is left in this PC's state directory on the server" && return ;;
		read-only) condition="this PC's state directory on the server cannot be written to" && return ;;
	esac
	if [ "$boinc" != running ]; then
		case $boinc in
			starting) condition="starting BOINC" ;;
			stopped) condition="BOINC has stopped; it is started again" ;;
			*) condition="BOINC does not answer" ;;
		esac
		return
	fi
	tasks=$(results "$RUN/poll")
	running=$(awk -F "$FIELD" '$5 == 1' <<< "$tasks" | grep -c .)
	reason=$(sed -n 's|^ *<task_suspend_reason>\([0-9]*\)</task_suspend_reason>.*|\1|p' "$RUN/poll/1" | head -n 1)
	mode=$(why_suspended "$reason")
	failing=$(projects "$RUN/poll" | awk -F "$FIELD" '$3 > 0 || $4 > 0 { print ($7 != "" ? $7 : $1) }' | head -n 1)
	if [ "$running" -gt 0 ] && [ -z "$mode" ]; then
		condition="computing"
	elif [ -e "$RUN/suspended" ]; then
		condition="paused by order of the server"
	elif [ -e "$RUN/closed" ]; then
		condition="paused until the next time to compute"
	elif [ -n "$mode" ]; then
		condition="paused: $mode"
	elif [ -e "$RUN/finishing" ]; then
		condition="finishing: waiting until everything is reported"
	elif [ -z "$(projects "$RUN/poll")" ]; then
		condition="idle: BOINC has no project"
	elif [ -n "$failing" ]; then
		condition="idle: the project $(plain "$failing" 60) does not answer; this PC asks again"
	elif ! projects "$RUN/poll" | awk -F "$FIELD" '$2 > 0 { found = 1 } END { exit !found }'; then
		condition="idle: the project has not accepted this PC yet"
	elif ! results "$RUN/poll" | grep -q .; then
		condition="idle: the project has sent no tasks"
	else
		condition="waiting: its tasks do not run yet"
	fi
}

# draw: put it on the screen. Somebody may have stopped the terminal: only for five seconds.
draw() {
	local name url host active part project until runs=0 waits=0 lines=''
	if [ "$boinc" = running ]; then
		while IFS=$FIELD read -r name _ _ _ active part; do
			if [ "$active" != 1 ]; then
				waits=$((waits + 1))
				continue
			fi
			runs=$((runs + 1))
			[ "$runs" -le 12 ] || continue
			[[ $part =~ ^[01]\.([0-9]{2}) ]] && part=$((10#${part:0:1}${BASH_REMATCH[1]})) || part=0
			lines+=$(printf '\n             %3d %%  %s' "$part" "$(plain "$name" 60)")
		done < <(results "$RUN/poll")
	fi
	{
		printf '\033[0m\033[H\033[2J\n  %s\n\n' "$NAME"
		[ -z "$label" ] || printf '  Label      %s\n' "${label//[[:cntrl:]]/?}"
		printf '  Address    %s\n  Server     %s\n' "$(address)" "$SERVER"
		if [ "$boinc" = running ]; then
			while IFS=$FIELD read -r url host _ _ _ _ project; do
				[[ $host == [1-9]* ]] && host=", computer $(plain "$host" 12)" || host=''
				printf '  Project    %s%s\n' "$(plain "${project:-$url}" 60)" "$host"
			done < <(projects "$RUN/poll" | head -n 4)
			printf '  Tasks      %d run, %d wait%s\n' "$runs" "$waits" "$lines"
		fi
		until=$(the_end)
		[ -z "$until" ] || printf '  Until      %s\n' "$until"
		printf '\n  %s\n' "${condition^}"
		[ -z "$unheard" ] || printf '  %s\n' "$unheard"
		[ ! -e "$RUN/owned" ] || printf '\n  Do you need this PC? Press any key: it starts from its own disk.'
		printf '\n  The power button shuts this PC down cleanly. Its work is kept on the server.\n'
	} > "$RUN/screen"
	(timeout -s KILL 5 cat "$RUN/screen" > /dev/tty1) 2> /dev/null || true
}

# show: the screen, and the serial port if what the PC does has changed.
show() {
	condition
	if [ "$condition" != "$shown" ] && [ "$placed" = yes ]; then
		say "$condition"
		shown=$condition
	fi
	draw
}

label='' unheard='' shown='' condition=''
