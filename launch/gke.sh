#!/usr/bin/env bash
# Trains on a TPU slice of a GKE cluster: a JobSet, submitted with xpk (written for 1.16).
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(cd "${BASH_SOURCE[0]%/*}" 2>/dev/null || true; pwd)/common.sh"

summary='Submits a training to a GKE cluster created with xpk. JobSet restarts it from its last
checkpoint, when a node is preempted or maintained.'
required config 'config file of this checkout, FILE.py[:ARG]'
required workdir 'folder for checkpoints, metrics and samples, under the mount'
required project 'Google Cloud project'
required zone 'zone of the cluster'
required cluster 'name of the cluster'
required image 'image to run, REGISTRY/PROJECT/NAME:TAG'
option topology v5p:4x4x8 'slice, as mtv_jax.plan names it'
option name '' 'name of the workload; by default mtv- and the last part of the workdir'
option storage mtv-bucket 'name of the bucket in xpk storage attach'
option mount /bucket 'mount point of the bucket'
option max-restarts 50 'maximum number of restarts by JobSet'
option grace 600 'seconds that a pod has for saving after SIGTERM'
option priority medium 'very-low, low, medium, high or very-high'
flag build 'build the image from this checkout and push it first'
parse "$@"

config_of_checkout
workdir_under "${opt[mount]}"
topology_is_spelled
whole max-restarts grace
name=$(run_name)
[ -z "${opt[build]}" ] || need docker 'it builds the image; or leave out --build'
need xpk 'pip install xpk==1.16.0'

train_with python "--config.compilation_cache=${opt[mount]}/jax_cache"
run cd "$root"
if [ "${opt[build]}" ]; then
  run docker build --platform=linux/amd64 --file=launch/Dockerfile "--tag=${opt[image]}" .
  run docker push "${opt[image]}"
fi
# xpk lets JobSet restart after the exit codes 127 to 255: 143 of a training stopped by SIGTERM, and those of a crash or
# a lost peer (and 130 after SIGINT), but not 2, an error in the config. exec: the signal must reach the command.
run xpk workload create "--workload=$name" "--cluster=${opt[cluster]}" \
  "--project=${opt[project]}" "--zone=${opt[zone]}" "--tpu-type=${opt[topology]/:/-}" \
  "--docker-image=${opt[image]}" "--storage=${opt[storage]}" "--priority=${opt[priority]}" \
  "--max-restarts=${opt[max-restarts]}" "--termination-grace-period-seconds=${opt[grace]}" \
  --command "cd /mtv_jax && exec $(quoted "${train[@]}")"
