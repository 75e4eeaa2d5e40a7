#!/bin/bash
# Says of the job $1: running, success or failed.
#
# A job that the scheduler lists is running. One that it does not list any more has left its exit status in a
# file (job.sh); if there is none, it was lost, and has failed. While the scheduler cannot be asked, every job
# counts as running. One answer serves all jobs for a while.
trap '' INT # Snakemake itself cancels the jobs then
set -u
here=$(cd "$(dirname "$0")" && pwd)
jobs=.snakemake/cluster_generic
job=$1
. "$here/scheduler.sh"

# By the clock of the file system, which may not be that of this machine.
seconds_since() {
    touch "$jobs/now"
    echo $(($(stat -c %Y "$jobs/now") - $(stat -c %Y "$1")))
}

# Keep the scheduler's answer as a list of numbers; without one, keep none.
ask() {
    touch "$jobs/asked"
    rm -f "$jobs/unfinished"
    export -f unfinished
    if timeout 60 bash -o pipefail -c unfinished >"$jobs/answer" 2>"$jobs/complaint" &&
        sed -i 's/^ *//; s/ *$//; /^$/d' "$jobs/answer" && ! grep '[^A-Za-z0-9._-]' "$jobs/answer" >>"$jobs/complaint"; then
        mv "$jobs/answer" "$jobs/unfinished"
        rm -f "$jobs/warned"
    elif [ ! -e "$jobs/warned" ]; then
        touch "$jobs/warned"
        echo "warning: cannot ask the scheduler, so jobs count as running until it answers:" \
            "$(tail -n 1 "$jobs/complaint")" >&2
    fi
}

# A list that is older than the job does not have it yet.
if [ ! -e "$jobs/asked" ] || [ ! "$jobs/asked" -nt "$jobs/$job.submitted" ] ||
    [ "$(seconds_since "$jobs/asked")" -ge "$PERIOD" ]; then
    ask
fi

if [ ! -e "$jobs/unfinished" ] || grep -qxF -- "$job" "$jobs/unfinished"; then
    rm -f "$jobs/$job.missing"
    echo running
    exit
fi
ls "$jobs" >/dev/null # has NFS look again for files of other machines
if [ -e "$jobs/$job.exit" ]; then
    answer=failed
    [ "$(cat "$jobs/$job.exit")" != 0 ] || answer=success
else
    [ -e "$jobs/$job.missing" ] || touch "$jobs/$job.missing"
    answer=running
    if [ "$(seconds_since "$jobs/$job.missing")" -ge "$PATIENCE" ]; then
        answer=failed
        echo "warning: job $job ended without an exit status: cancelled, killed, or lost with its node" >&2
    fi
fi
[ "$answer" = running ] || rm -f "$jobs/$job".{submitted,missing,exit}
echo "$answer"
