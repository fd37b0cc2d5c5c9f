#!/usr/bin/env bash
# The batch script that slurm.sh submits, in the checkout: launch/slurm_job.sh COMMAND ...
set -euo pipefail
# Slurm signals the processes of the step; this shell waits until they have handled the signal.
trap '' TERM
status=0
srun --kill-on-bad-exit=1 "$@" || status=$?
# 143: SIGTERM stopped the training while the job is running: preempted, or out of time. A job ended by scancel is no
# longer running, and 130 is a user's Ctrl-C: neither is requeued.
if [ "$status" -eq 143 ] && [ "$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T)" = RUNNING ]; then
  echo "stopped before its end: job $SLURM_JOB_ID goes back to the queue" >&2
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
