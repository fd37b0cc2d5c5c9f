#!/usr/bin/env bash
# The batch script that slurm.sh submits, in the checkout: launch/slurm_job.sh COMMAND ...
set -euo pipefail
# Slurm signals the processes of the step; this shell waits for what they do about it.
trap '' TERM
status=0
srun --kill-on-bad-exit=1 "$@" || status=$?
# 143: SIGTERM stopped the training while the job runs: preempted, or out of time. A job that scancel ends is not
# running any more, and 130 is a person's Ctrl-C: both stay ended.
if [ "$status" -eq 143 ] && [ "$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T)" = RUNNING ]; then
  echo "stopped before its end: job $SLURM_JOB_ID goes back to the queue" >&2
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
