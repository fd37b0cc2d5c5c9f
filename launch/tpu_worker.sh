#!/usr/bin/env bash
# The startup script of the Cloud TPU VMs of tpu_vm.sh, run by root at every boot. It mounts the bucket,
# installs the code (the first time) and starts the training as the systemd unit mtv-train.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive HOME=/root

metadata() {
  curl --silent --fail --header 'Metadata-Flavor: Google' \
    "http://metadata.google.internal/computeMetadata/v1/instance/attributes/$1"
}

mount_bucket() {
  local key=/usr/share/keyrings/cloud.google.asc packages=https://packages.cloud.google.com/apt
  if ! command -v gcsfuse >/dev/null; then
    curl --silent --show-error --fail --output "$key" "$packages/doc/apt-key.gpg"
    echo "deb [signed-by=$key] $packages gcsfuse-$(lsb_release --codename --short) main" \
      >/etc/apt/sources.list.d/gcsfuse.list
    # Ubuntu installs upgrades after boot and holds the lock in the meantime.
    apt-get --quiet --option DPkg::Lock::Timeout=600 update
    apt-get --quiet --option DPkg::Lock::Timeout=600 install --yes gcsfuse
  fi
  mkdir -p /bucket
  mountpoint --quiet /bucket || gcsfuse --implicit-dirs "$(metadata mtv-bucket)" /bucket
}

install_code() {
  [ ! -e /opt/mtv_jax/installed ] || return 0
  mkdir -p /opt/mtv_jax/code
  tar --extract --gzip --file="/bucket/$(metadata mtv-code)" --directory=/opt/mtv_jax/code
  # The VMs' own Python is older than 3.11.
  curl --silent --show-error --fail --location https://astral.sh/uv/0.13.5/install.sh |
    UV_INSTALL_DIR=/usr/local/bin UV_NO_MODIFY_PATH=1 sh
  /usr/local/bin/uv venv --clear --python=3.13 /opt/mtv_jax/venv
  /usr/local/bin/uv pip install --python=/opt/mtv_jax/venv/bin/python --editable '/opt/mtv_jax/code[tpu]'
  touch /opt/mtv_jax/installed
}

# The variables of mtv_jax.sharding.distributed; none for a single VM.
meeting() {
  local endpoints first commas
  endpoints=$(metadata worker-network-endpoints)
  commas=${endpoints//[!,]/}
  [ "$commas" ] || return 0
  # Each endpoint is an address, or NAME:ID:ADDRESS.
  first=${endpoints%%,*}
  echo "export JAX_COORDINATOR_ADDRESS=${first##*:}:8482"
  echo "export JAX_NUM_PROCESSES=$((${#commas} + 1))"
  echo "export JAX_PROCESS_ID=$(metadata agent-worker-number)"
}

# The script that the unit runs.
train_script() {
  printf '%s\n' '#!/usr/bin/env bash' 'set -e' 'cd /opt/mtv_jax/code' \
    'export PATH=/opt/mtv_jax/venv/bin:/usr/local/bin:/usr/bin:/bin HOME=/root PYTHONUNBUFFERED=1'
  meeting
  echo "exec $(metadata mtv-command)"
}

# Restarts after a crash, or a stop (143) other than by `systemctl stop`; not after an error in the config (2), or
# Ctrl-C (130).
unit() {
  printf '%s\n' '[Unit]' 'StartLimitIntervalSec=3600' 'StartLimitBurst=10' \
    '[Service]' 'ExecStart=/opt/mtv_jax/train.sh' 'Restart=on-failure' 'RestartSec=30' \
    'RestartPreventExitStatus=2 130' 'KillMode=mixed' 'TimeoutStopSec=600'
}

main() {
  mount_bucket
  install_code
  train_script >/opt/mtv_jax/train.sh
  chmod +x /opt/mtv_jax/train.sh
  unit >/etc/systemd/system/mtv-train.service
  systemctl daemon-reload
  systemctl start mtv-train
}

[ "${BASH_SOURCE[0]}" != "$0" ] || main
