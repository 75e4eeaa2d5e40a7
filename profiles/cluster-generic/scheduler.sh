# What submit.sh, status.sh and cancel.sh ask of your scheduler: three commands, to be edited here. Those of
# Slurm stand below and are tested (tests/cluster/test_generic.py). Those of PBS and LSF are UNTESTED examples.

PERIOD=15   # seconds for which one answer of `unfinished` is used, for all jobs
PATIENCE=60 # seconds until a file written on a node is visible here, as latency-wait in config.yaml

# Submit the script $1 and print the job's number and nothing else. What the job requests:
#   NAME, LOG          its name and the file for what it prints
#   THREADS, MINUTES   CPUs and time
#   MEM_MB, GPUS       memory in MB and GPUs, on each node
#   NODES              nodes; more than one only with Slurm
submit() {
    sbatch --parsable --job-name="$NAME" --output="$LOG" --open-mode=append \
        --nodes="$NODES" --ntasks-per-node=1 --cpus-per-task="$THREADS" --mem="${MEM_MB}M" --time="$MINUTES" \
        ${GPUS:+--gres="gpu:$GPUS"} "$1"
    # PBS (untested):
    # qsub -V -N "$NAME" -j oe -o "$LOG" -l walltime="$((MINUTES * 60))" \
    #     -l select=1:ncpus="$THREADS":mem="${MEM_MB}mb${GPUS:+:ngpus=$GPUS}" "$1"
    # LSF (untested; -M and rusage count in the unit that your site sets):
    # bsub -J "$NAME" -o "$LOG" -W "$MINUTES" -n "$THREADS" -R "span[hosts=1]" -M "${MEM_MB}MB" \
    #     -R "rusage[mem=${MEM_MB}MB]" ${GPUS:+-gpu "num=$GPUS"} <"$1" | sed -n 's/^Job <\([0-9]*\)>.*/\1/p'
}

# Print the numbers of all jobs that are queued or running, also those of other users, one a line. If the
# scheduler cannot be asked, fail: jobs then count as running until it answers.
unfinished() {
    squeue --noheader --format=%A --states=PD,CF,R,CG,S,ST,SO,SI,RQ,RH,RF,RD,RS,SE,RV
    # PBS (untested):
    # qselect
    # LSF (untested):
    # answer=$(bjobs -u all -noheader -o jobid 2>&1) || [ "$answer" = "No unfinished job found" ] || return 1
    # echo "${answer#No unfinished job found}"
}

# Cancel the jobs of the given numbers.
cancel() {
    scancel "$@"
    # PBS (untested):
    # qdel "$@"
    # LSF (untested):
    # bkill "$@"
}
