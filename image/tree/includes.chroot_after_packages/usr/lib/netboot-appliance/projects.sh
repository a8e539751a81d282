# shellcheck shell=bash
# Asks a project again when BOINC itself would wait for hours. Sourced by the agent; needs boinc.sh.
# After three failed fetches of the project's page, some minutes, BOINC waits 24 hours; after failed requests, up to four.

declare -A asked_again=() ask_at=()
WAITS=(60 120 300 600)

# whole TEXT: print the number that it is, else 0. What a project wrote in its place must not reach (( )), which would run
# it.
whole() {
	[[ $1 =~ ^[1-9][0-9]{0,11}$ ]] && printf '%s' "$1" || printf 0
}

# urge_projects: ask those projects again that did not answer, after 1, 2, 5, 10 minutes, then every 10 to 12; and one that
# answered and gave this PC no host, which is a refusal, after an hour. BOINC's replies are in $RUN/poll.
urge_projects() {
	local url host fetches requests wait now wall pause count
	now=$(uptime) wall=$(date +%s)
	# A client that is not BOINC's could name others for ever.
	[ ${#ask_at[@]} -le 200 ] || asked_again=() ask_at=()
	while IFS=$FIELD read -r url host fetches requests wait _; do
		[ -n "$url" ] || continue
		host=$(whole "$host") fetches=$(whole "$fetches") requests=$(whole "$requests") wait=$(whole "${wait%%.*}")
		count=${asked_again[$url]:-0}
		if ((fetches || requests)); then
			pause=${WAITS[count]:-$((600 + RANDOM % 120))}
		elif ((host == 0 && wait > wall + 900)); then
			pause=$((3600 + RANDOM % 600))
		else
			# `unset` would run what stands in the URL.
			asked_again[$url]='' ask_at[$url]=''
			continue
		fi
		if [ -z "${ask_at[$url]:-}" ]; then
			ask_at[$url]=$((now + pause))
		elif [ "$now" -ge "${ask_at[$url]}" ]; then
			echo "asking the project $url again, for the $((count + 1)). time"
			change "$(of_project update "$url")" || true
			asked_again[$url]=$((count + 1))
			pause=${WAITS[count + 1]:-$((600 + RANDOM % 120))}
			((host || fetches || requests)) || pause=3600
			ask_at[$url]=$((now + pause))
		fi
	done < <(projects "$RUN/poll" | head -n 32)
}
