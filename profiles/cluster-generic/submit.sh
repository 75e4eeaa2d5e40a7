#!/bin/bash
# Submits the script $1 and prints the job's number; config.yaml sets what the job requests.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
jobs=.snakemake/cluster_generic
mkdir -p "$jobs"

NAME=${LOG#results/logs/}
NAME=${NAME%.log}
NAME=${NAME//\//.}
NAME=${NAME:-job}
LOG=$PWD/$jobs/$NAME.log
GPUS=$((GPUS / NODES))
[ "$GPUS" -gt 0 ] || GPUS=
. "$here/scheduler.sh"

if ! number=$(submit "$1"); then
    echo "error: $NAME was not submitted; what the scheduler says is above" >&2
    exit 1
fi
number=${number%%;*} # Slurm adds the name of its cluster where there are several
if [[ ! $number =~ ^[A-Za-z0-9._-]+$ ]]; then
    echo "error: $here/scheduler.sh: submit printed '$number' and not just the number of the job;" \
        "make it print that, and cancel the job" >&2
    exit 1
fi
echo "$here" >"$jobs/scripts" # of which a later run asks what became of the jobs
echo "$NAME" >"$jobs/$number.submitted"
echo "$number"
