#!/bin/sh
# The fake project's application: counts seconds, keeps the count in a checkpoint file of its slot directory, and
# writes what a test wants to know into its output file: the total, how often it was started, where it resumed.
# With more arguments than SECONDS it is a wrapper too: it starts boinc_attacks.py with them, and adds what that prints.
# Usage: boinc_application.sh SECONDS [BOX PROJECT NEIGHBOUR]
set -eu

seconds=$1
shift
count=0
starts=0
if [ -s checkpoint ]; then
    read -r count starts < checkpoint
fi
starts=$((starts + 1))
resumed_from=$count

save() {
    printf '%s %s\n' "$count" "$starts" > checkpoint.new
    sync checkpoint.new
    mv checkpoint.new checkpoint
}

# BOINC's shared memory is a file of 1024-byte channels; byte 0 of a channel is 1 while it holds a message.
# Channel 0 is the client's orders, channel 5 the application's status.
report() {
    [ -e boinc_mmap_file ] || return 0
    hundredths=$((count * 100 / seconds))
    printf '\001<current_cpu_time>%s</current_cpu_time>\n<checkpoint_cpu_time>%s</checkpoint_cpu_time>\n<fraction_done>%s.%02d</fraction_done>\n\000' \
        "$count" "$count" $((hundredths / 100)) $((hundredths % 100)) |
        dd of=boinc_mmap_file bs=1 seek=5120 conv=notrunc status=none
}

told_to_quit() {
    [ -e boinc_mmap_file ] && dd if=boinc_mmap_file bs=1024 count=1 status=none | grep -aq '<quit/>'
}

if [ $# -gt 0 ] && [ "$starts" -eq 1 ]; then
    python3 boinc_attacks.py "$@" > attacks &
fi

save
while [ "$count" -lt "$seconds" ]; do
    sleep 1
    if told_to_quit; then
        exit 0
    fi
    count=$((count + 1))
    save
    report
done

printf 'total=%s\nstarts=%s\nresumed_from=%s\n' "$count" "$starts" "$resumed_from" > output
wait
[ ! -e attacks ] || cat attacks >> output
echo 0 > boinc_finish_called
