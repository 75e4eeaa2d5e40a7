#!/bin/bash
# properties = {properties}
# Leaves its exit status for status.sh, in the folder that the command below changes to.
job=${{SLURM_JOB_ID:-${{PBS_JOBID:-${{LSB_JOBID:-$JOB_ID}}}}}}
status_file=.snakemake/cluster_generic/$job.exit
trap : TERM INT HUP # asked to end, it waits for the command, and leaves that one's status
trap 'echo $? >"$status_file.new" && mv "$status_file.new" "$status_file"' EXIT
{exec_job}
