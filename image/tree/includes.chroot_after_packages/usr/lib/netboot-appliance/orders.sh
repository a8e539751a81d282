# shellcheck shell=bash
# The server's orders: each is carried out once in a boot, and what came of it is told. Sourced by the agent; needs
# boinc.sh and window.sh. An agent that is started again finds in $RUN what this boot was told:
#   orders/ID   what came of that order; "running" until it has ended
#   suspended   BOINC is to compute nothing
#   finishing   ID VERB of the finish under way
#   leaving     off, reboot or disk, once the server knows of all orders that have ended; owner: see owner
# What it was told of its time to compute is in window.sh.

ORDERS=$RUN/orders
NOTED=/var/lib/boinc-client/netboot_no_new_work
NO_ANSWER="BOINC does not answer"
declare -A untold=()
mkdir -p "$ORDERS"

# end ID RESULT: an order has ended.
end() {
	printf '%s\n' "$2" > "$ORDERS/$1"
	untold[$1]=$2
}

# of_earlier_agents: tell what became of orders that an agent before this one took.
of_earlier_agents() {
	local file id finishing
	finishing=$(first "$RUN/finishing")
	for file in "$ORDERS"/*; do
		[ -e "$file" ] || continue
		id=${file##*/}
		if [ "$(first "$file")" != running ]; then
			untold[$id]=$(first "$file")
		elif [ "$id" != "${finishing% *}" ]; then
			end "$id" "failed: the agent was restarted meanwhile"
		fi
	done
}

# for_projects VERB: tell BOINC VERB for each project.
for_projects() {
	local url failed=0
	ask "$RUN/look" '<get_cc_status/>' '<get_project_status/>' || return
	while IFS= read -r url; do
		change "$(of_project "$1" "$url")" || failed=1
	done < <(projects "$RUN/look" | awk -F "$FIELD" '{ print $1 }' | head -n 32)
	return $failed
}

# suspend: BOINC computes nothing for an hour; said again with each heartbeat. So it never outlives this boot or the
# agent, and what somebody chose in BOINC Manager is in force again afterwards.
suspend() {
	change '<set_run_mode><never/><duration>3600</duration></set_run_mode>'
}

# no_new_work: and note for which projects, so that the next boot can take back this and nothing else.
no_new_work() {
	ask "$RUN/look" '<get_cc_status/>' '<get_project_status/>' || return
	projects "$RUN/look" | awk -F "$FIELD" '$6 != 1 { print $1 }' > "$RUN/noted"
	if [ -s "$RUN/noted" ]; then
		as_boinc -t 20 sh -c "cat >> $NOTED" < "$RUN/noted" || return
	fi
	for_projects nomorework
}

# new_work: undo what a finish of this boot or an earlier one did. Each project in the note that BOINC still has gets work.
new_work() {
	local url
	as_boinc -t 20 sh -c "[ ! -e $NOTED ] || head -c 10000 $NOTED" > "$RUN/noted" 2> /dev/null || return
	[ -s "$RUN/noted" ] || return 0
	ask "$RUN/look" '<get_cc_status/>' '<get_project_status/>' || return
	while IFS= read -r url; do
		change "$(of_project allowmorework "$url")" || return
	done < <(projects "$RUN/look" | awk -F "$FIELD" '{ print $1 }' | grep -Fx -f "$RUN/noted" | head -n 32)
	as_boinc -t 20 rm -f "$NOTED"
}

# go_on: BOINC computes as its preferences say.
go_on() {
	change '<set_run_mode><auto/><duration>0</duration></set_run_mode>'
}

# resume: also ends a finish, and what the end of a window has begun.
resume() {
	rm -f "$RUN/suspended"
	forget_end
	if [ -e "$RUN/finishing" ]; then
		local finishing
		finishing=$(first "$RUN/finishing")
		rm "$RUN/finishing"
		end "${finishing% *}" "failed: a resume came before it had ended"
	fi
	go_on && new_work
}

# carry_out ID VERB: an order from the server.
carry_out() {
	local id=$1 verb=$2
	if [ -e "$ORDERS/$id" ]; then
		# What was told got lost, or it is still under way.
		[ "$(first "$ORDERS/$id")" = running ] || untold[$id]=$(first "$ORDERS/$id")
		return
	fi
	echo running > "$ORDERS/$id"
	echo "order $id: $verb"
	case $verb in
		suspend)
			touch "$RUN/suspended"
			if suspend; then
				end "$id" "done"
			else
				rm -f "$RUN/suspended"
				end "$id" "failed: $NO_ANSWER"
			fi
			;;
		resume) if resume; then end "$id" "done"; else end "$id" "failed: $NO_ANSWER"; fi ;;
		update) if for_projects update; then end "$id" "done"; else end "$id" "failed: $NO_ANSWER"; fi ;;
		finish | finish-disk)
			if [ -e "$RUN/finishing" ]; then
				end "$id" "failed: another finish is under way"
			elif no_new_work; then
				echo "$id $verb" > "$RUN/finishing"
				say "finishing: no new work; when everything is reported, this PC $(goes "$verb")"
			else
				end "$id" "failed: $NO_ANSWER"
			fi
			;;
		off | reboot)
			echo "$verb" > "$RUN/leaving"
			end "$id" "done"
			;;
		*) end "$id" "failed: this image does not know the order" ;;
	esac
}

# goes VERB: what happens to this PC, in words.
goes() {
	case $1 in
		off | finish) printf 'switches off' ;;
		finish-disk | disk) printf 'starts from its disk' ;;
		suspend) printf 'pauses' ;;
		*) printf 'restarts' ;;
	esac
}

# nothing_left: whether BOINC, whose replies are in $RUN/poll, has no task.
nothing_left() {
	[ -e "$RUN/poll/3" ] || return
	! results "$RUN/poll" | grep -q . || return
	# Only an answer that is complete says that there are none.
	grep -q '<results */*>' "$RUN/poll/3"
}

reported_at=-1000

# report_ended: have BOINC report what is finished, every five minutes.
report_ended() {
	if [ "$(uptime)" -ge $((reported_at + 300)) ] && ended_results "$RUN/poll" | grep -q .; then
		reported_at=$(uptime)
		for_projects update || true
	fi
}

# keep_orders: what lasting orders need with each look at BOINC, whose replies are in $RUN/poll.
keep_orders() {
	local id verb
	if [ -e "$RUN/suspended" ] || [ -e "$RUN/closed" ]; then suspend || true; fi
	[ -e "$RUN/finishing" ] || return 0
	read -r id verb < "$RUN/finishing"
	if nothing_left; then
		if [ "$verb" = finish ]; then echo off; else echo reboot; fi > "$RUN/leaving"
		rm "$RUN/finishing"
		end "$id" "done"
	else
		report_ended
	fi
}

# leave: go, if an order said so and the server has been told of it. What was not told would come again at the next boot.
leave() {
	[ -e "$RUN/leaving" ] && [ ${#untold[@]} -eq 0 ] || return 0
	# It goes by itself, and sooner.
	if [ "$(first "$RUN/leaving")" != owner ]; then go; fi
}

# go: switch off or restart.
go() {
	if [ "$(first "$RUN/leaving")" = off ]; then systemctl poweroff; else systemctl reboot; fi
}
