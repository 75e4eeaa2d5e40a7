#!/bin/bash
# Cancels the jobs of the given numbers; in the background, because Snakemake waits for 2 seconds only.
trap '' INT
here=$(cd "$(dirname "$0")" && pwd)
setsid bash -c '
    . "$0/scheduler.sh"
    cancel "$@" || echo "error: could not cancel all of these jobs, do it by hand: $*" >&2
' "$here" "$@" &
