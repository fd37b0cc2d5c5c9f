#!/usr/bin/env bash
# Trains on all devices of this machine: launch/one_vm.sh CONFIG WORKDIR [--config.key=value ...]
set -euo pipefail
if [ "$#" -lt 2 ]; then
  echo "usage: $0 CONFIG WORKDIR [--config.key=value ...]" >&2
  exit 2
fi
config=$1 workdir=$2
shift 2
cd "$(dirname "$0")/.."
make --quiet setup
exec .venv/bin/python -m mtv_jax.train --config "$config" --workdir "$workdir" "$@"
