# shellcheck shell=bash
# What the agent and the farewell ask of BOINC, and how they read its replies. Sourced; needs boot.sh and $RUN.
# Whatever can hang for good when the server does (BOINC, and all files of the state directory) runs under `timeout -s
# KILL` and writes to a file: a pipe would be waited for as long as anybody holds it.

LC_ALL=C
# Between fields; unlike a tab it keeps empty ones apart in `read`.
FIELD=$'\037'

# ask DIRECTORY REQUEST...: BOINC's replies, in files 1, 2, … there. Fails unless there is one for each request.
ask() {
	local directory=$1
	shift
	rm -rf "${directory:?}"
	mkdir -p "$directory"
	timeout -s KILL 30 /usr/lib/netboot-appliance/gui-rpc "$@" > "$directory/all" 2> /dev/null
	awk -v RS='\003' -v directory="$directory" -v most=$# '
		NR <= most && /<\/boinc_gui_rpc_reply>/ { printf "%s", $0 > (directory "/" NR) }
	' "$directory/all"
	[ -e "$directory/$#" ]
}

# change REQUEST: ask BOINC for a change. Fails unless it says that it was made.
change() {
	ask "$RUN/answer" "$1" && grep -q '<success */>' "$RUN/answer/1"
}

# table FILE ELEMENT TAG...: one line for each ELEMENT of a reply: what its TAGs contain, with FIELD between. BOINC writes
# each on a line of its own. A tag without a content is 1. No control characters: some of it is from strangers.
table() {
	local file=$1 element=$2
	shift 2
	tr '\000-\011\013-\037\177' ' ' < "$file" | awk -v element="$element" -v tags="$*" '
		BEGIN { count = split(tags, tag, " ") }
		{ sub(/^ +/, "") }
		$0 == "<" element ">" { inside = 1; split("", found); next }
		$0 == "</" element ">" && inside {
			row = ""
			for (i = 1; i <= count; i++) row = row (i > 1 ? "\037" : "") (i in found ? found[i] : "")
			print row
			inside = 0
			if (++rows >= 500) exit
		}
		inside {
			for (i = 1; i <= count; i++) {
				if (i in found) continue
				if ($0 == "<" tag[i] "/>") found[i] = 1
				start = "<" tag[i] ">"; end = "</" tag[i] ">"
				if (index($0, start) == 1 && (stop = index($0, end)) > 0)
					found[i] = substr($0, length(start) + 1, stop - length(start) - 1)
			}
		}'
}

# shortened FILE ELEMENT ROOM [NEWEST]: the reply with as many of its ELEMENTs as fit into ROOM bytes; with NEWEST the
# last ones, else the tasks that run, by which the server tells whether this PC computes, and then the first. Nothing of
# a reply with more lines than BOINC could have written.
shortened() {
	awk -v element="$2" -v room="$3" -v newest="${4:-}" '
		NR > 50000 { room = -1; exit }
		!inside && index($0, "<" element ">") { inside = 1; n++ }
		{ line[NR] = $0; item[NR] = inside ? n : 0 }
		inside && index($0, "<active_task_state>1</") { runs[n] = 1 }
		inside { size[n] += length($0) + 1; if (index($0, "</" element ">")) inside = 0; next }
		{ room -= length($0) + 1 }
		END {
			if (room < 0) exit
			if (newest) for (i = n; i > 0 && (room -= size[i]) >= 0; i--) keep[i] = 1
			else for (running = 1; running >= 0; running--) for (i = 1; i <= n; i++)
				if (runs[i] + 0 == running && (room -= size[i]) >= 0) keep[i] = 1
			for (i = 1; i <= NR; i++) if (!item[i] || item[i] in keep) print line[i]
		}' "$1"
}

# projects DIRECTORY: the projects of BOINC's reply there: URL, host, failed fetches, failed requests, wait, no more work,
# name.
projects() {
	kept "$1" 2 project master_url hostid master_fetch_failures nrpc_failures min_rpc_time dont_request_more_work \
		project_name
}

# results DIRECTORY: the tasks of BOINC's reply there: name, project, state, reported soon, runs, part done.
results() {
	kept "$1" 3 result name project_url state ready_to_report active_task_state fraction_done
}

# kept DIRECTORY REPLY ELEMENT TAG...: the table, which is made once for each reply.
kept() {
	local directory=$1 reply=$2
	shift 2
	[ -e "$directory/$reply" ] || return 0
	[ -e "$directory/$reply.table" ] || table "$directory/$reply" "$@" > "$directory/$reply.table"
	cat "$directory/$reply.table"
}

# A task that is finished and on its way to the project, by its state (RESULT_FILES_UPLOADING, RESULT_FILES_UPLOADED), or
# that will never be finished (RESULT_COMPUTE_ERROR, RESULT_ABORTED, RESULT_UPLOAD_FAILED).
ended_results() {
	results "$1" | awk -F "$FIELD" '$3 ~ /^[3-7]$/ || $4 == 1'
}

# of_project VERB URL: the request for one project. The URL comes from BOINC, and still has its XML escapes.
of_project() {
	printf '<project_%s>\n<project_url>%s</project_url>\n</project_%s>' "$1" "$2" "$1"
}
