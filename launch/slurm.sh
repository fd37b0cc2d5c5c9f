#!/usr/bin/env bash
# Trains on GPUs under slurm. A job that is preempted or reaches its time limit saves, is requeued and resumes.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(cd "${BASH_SOURCE[0]%/*}" 2>/dev/null || true; pwd)/common.sh"

summary='Creates the environment on this machine, whose file system the nodes must share, and submits the job.
Paths are relative to the checkout.'
required config 'config file, FILE.py[:ARG]'
required workdir 'folder for checkpoints, metrics, samples and logs, shared by the nodes'
option name mtv_jax 'name of the job'
option nodes 1 'number of nodes'
option gpus-per-node 8 'GPUs per node, with one process each'
option cpus-per-task 8 'CPUs per process'
option time 24:00:00 'time limit, after which the job is requeued'
option grace 300 'seconds before the time limit at which the job saves'
option partition '' 'partition'
option account '' 'account'
parse "$@"

config_is_there
need make 'it makes the virtual environment .venv'
need sbatch 'run this on a login node of the cluster'
whole nodes gpus-per-node cpus-per-task grace

# Beside the workdir, so that all stages share it.
cache=$(if [[ ${opt[workdir]} == */* ]]; then echo "${opt[workdir]%/*}"; else echo .; fi)/jax_cache
train_with .venv/bin/python "--config.compilation_cache=$cache"
submit=(
  sbatch "--job-name=${opt[name]}" "--nodes=${opt[nodes]}"
  # JAX assigns GPU i of a node to its process i.
  "--gpus-per-node=${opt[gpus-per-node]}" "--ntasks-per-node=${opt[gpus-per-node]}"
  "--cpus-per-task=${opt[cpus-per-task]}" "--time=${opt[time]}"
  "--signal=TERM@${opt[grace]}" --requeue --open-mode=append "--output=${opt[workdir]}/slurm-%j.out"
)
[ -z "${opt[partition]}" ] || submit+=("--partition=${opt[partition]}")
[ -z "${opt[account]}" ] || submit+=("--account=${opt[account]}")

run cd "$root"
run make --quiet setup
run .venv/bin/python -m pip install --quiet --editable '.[cuda]'
run mkdir -p "${opt[workdir]}"
run "${submit[@]}" launch/slurm_job.sh "${train[@]}"
