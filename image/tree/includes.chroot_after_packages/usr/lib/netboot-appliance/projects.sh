# shellcheck shell=bash
# Asks a project again when BOINC itself would wait for hours. Sourced by the agent; needs boinc.sh.
# After three failed fetches of the project's page, some minutes, BOINC waits 24 hours; after failed requests, up to four.

declare -A asked_again=() ask_at=()
WAITS=(60 120 300 600)

# urge_projects: ask those projects again that did not answer, after 1, 2, 5, 10 minutes, then every 10 to 12; and one that
# answered and gave this PC no host, which is a refusal, after an hour. BOINC's replies are in $RUN/poll.
urge_projects() {
	local url host fetches requests wait now wall pause count
	now=$(uptime) wall=$(date +%s)
	while IFS=$FIELD read -r url host fetches requests wait _; do
		wait=${wait%%.*}
		[[ $wait =~ ^[0-9]{1,12}$ ]] || wait=0
		count=${asked_again[$url]:-0}
		if [ "${fetches:-0}" != 0 ] || [ "${requests:-0}" != 0 ]; then
			pause=${WAITS[count]:-$((600 + RANDOM % 120))}
		elif [ "${host:-0}" = 0 ] && ((10#$wait > wall + 900)); then
			pause=$((3600 + RANDOM % 600))
		else
			unset "asked_again[$url]" "ask_at[$url]"
			continue
		fi
		if [ -z "${ask_at[$url]:-}" ]; then
			ask_at[$url]=$((now + pause))
		elif ((now >= ask_at[$url])); then
			echo "asking the project $url again, for the $((count + 1)). time"
			change "$(of_project update "$url")" || true
			asked_again[$url]=$((count + 1))
			pause=${WAITS[count + 1]:-$((600 + RANDOM % 120))}
			((pause <= 720 && ${host:-0} == 0 && ${fetches:-0} == 0 && ${requests:-0} == 0)) && pause=3600
			ask_at[$url]=$((now + pause))
		fi
	done < <(projects "$RUN/poll" | head -n 32)
}
