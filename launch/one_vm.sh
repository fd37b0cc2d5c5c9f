#!/usr/bin/env bash
# Trains on all devices of this machine. The same command resumes a stopped run.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(cd "${BASH_SOURCE[0]%/*}" 2>/dev/null || true; pwd)/common.sh"

summary='Creates the environment if needed and trains on all devices of this machine.
Paths are relative to the checkout.'
required config 'config file, FILE.py[:ARG]'
required workdir 'folder for checkpoints, metrics and samples'
option extra none 'device support to install: none (CPU), cuda or tpu'
parse "$@"

config_is_there
case ${opt[extra]} in none | cuda | tpu) ;; *) fail "--extra ${opt[extra]}: must be none, cuda or tpu" ;; esac
need make 'it makes the virtual environment .venv'
train_with .venv/bin/python
run cd "$root"
run make --quiet setup
[ "${opt[extra]}" = none ] || run .venv/bin/python -m pip install --quiet --editable ".[${opt[extra]}]"
# exec, so that a signal to this script reaches the training.
[ "$dry_run" ] || exec "${train[@]}"
run "${train[@]}"
