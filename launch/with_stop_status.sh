#!/usr/bin/env bash
# launch/with_stop_status.sh COMMAND ...: runs the command, and exits as it does, but with 143 if it was stopped.
#
# A training that SIGTERM stopped has saved and exits 0, like one that is done. What starts it again (JobSet, slurm,
# systemd) has to tell the two apart; 143 is what a shell reports of a command that SIGTERM ended.
set -uo pipefail
[ "$#" -gt 0 ] || { echo "usage: $0 COMMAND ..." >&2; exit 2; }

child='' told='' status=0
trap 'told=yes; [ -z "$child" ] || kill -TERM "$child"' TERM
log=$(mktemp) || exit 1
"$@" 2>"$log" &
child=$!
# Shows what the command writes. It ends by itself with the command, so a signal to all of the group is not for it.
(trap '' TERM && exec tail -n +1 --follow --pid="$child" "$log" >&2) &
shown=$!
while true; do
  told=''
  wait "$child"
  status=$?
  # A signal cuts the wait short, with a status that is not the command's.
  [ "$told" ] || break
done
wait "$shown"
if [ "$status" -eq 0 ] && grep -q 'stopped by a signal' "$log"; then status=143; fi
rm -f "$log"
exit "$status"
