#!/usr/bin/env bash
# Trains on Cloud TPU VMs: creates a queued resource, whose VMs start training when they boot.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(cd "${BASH_SOURCE[0]%/*}" 2>/dev/null || true; pwd)/common.sh"

summary='Copies the code of a commit to the bucket and queues a request for TPU VMs. At every boot, each VM
mounts the bucket, installs the code and trains (launch/tpu_worker.sh).'
required config 'config file of this checkout, FILE.py[:ARG]'
required workdir 'folder for checkpoints, metrics and samples, under /bucket, where the bucket is mounted'
required project 'Google Cloud project'
required zone 'zone with such TPUs'
required bucket 'bucket, without gs://'
option topology v6e:16x16 'slice, as mtv_jax.plan names it'
option runtime '' "software version of the VMs; by default the one for the topology"
option name '' 'name of the request and its node; by default mtv- and the last part of the workdir'
option ref HEAD 'commit to run'
flag spot 'take spot capacity, which may be preempted'
flag reserved 'take capacity from a reservation'
parse "$@"

config_of_checkout
workdir_under /bucket
topology_is_spelled
type=${opt[topology]%%:*} shape=${opt[topology]#*:}
case $type in
  v5p) runtime=v2-alpha-tpuv5 ;;
  v6e) runtime=v2-alpha-tpuv6e ;;
  v5litepod) runtime=v2-alpha-tpuv5-lite ;;
  *) fail "--topology ${opt[topology]}: the Cloud TPU API offers v5p, v6e and v5litepod here; else use launch/gke.sh" ;;
esac
[ -z "${opt[spot]}" ] || [ -z "${opt[reserved]}" ] || fail '--spot and --reserved: take one of them'
name=$(run_name)
need git 'it packs the code'
need gcloud 'install the Google Cloud CLI'

train_with python '--config.compilation_cache=/bucket/jax_cache'
command=$(quoted "${train[@]}")
# The values of --metadata are separated by the string between the two ^, since they may contain commas.
divider=@@@
[[ $command$name != *"$divider"* ]] || fail "a value holds $divider, which divides values on the way to the VMs"
archive=mtv_jax-$name.tar.gz
request=(
  gcloud compute tpus queued-resources create "$name" "--node-id=$name"
  "--project=${opt[project]}" "--zone=${opt[zone]}" "--type=$type" "--topology=$shape"
  "--runtime-version=${opt[runtime]:-$runtime}"
  --scopes=https://www.googleapis.com/auth/cloud-platform
)
[ -z "${opt[spot]}" ] || request+=(--spot)
[ -z "${opt[reserved]}" ] || request+=(--reserved)

run cd "$root"
run git archive --format=tar.gz "--output=${TMPDIR:-/tmp}/$archive" "${opt[ref]}"
run gcloud storage cp "${TMPDIR:-/tmp}/$archive" "gs://${opt[bucket]}/code/$archive" "--project=${opt[project]}"
run "${request[@]}" --metadata-from-file=startup-script=launch/tpu_worker.sh \
  "--metadata=^$divider^mtv-bucket=${opt[bucket]}${divider}mtv-code=code/$archive${divider}mtv-command=$command"
