# shellcheck shell=bash
# Shared by the scripts of this folder: options, errors, dry runs, the training command. Sourced, not run.
set -euo pipefail

if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] < 404)); then
  echo "error: bash $BASH_VERSION is too old: run this with bash 4.4 or newer" >&2
  exit 2
fi

root=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
summary='' dry_run=''
names=() overrides=() train=()
declare -A opt=() kind=() about=()

fail() {
  echo "error: $*" >&2
  exit 2
}

# option NAME DEFAULT TEXT: --NAME VALUE. required NAME TEXT: the same without a default. flag NAME TEXT: --NAME.
option() { names+=("$1") opt[$1]=$2 kind[$1]=option about[$1]=$3; }
required() { names+=("$1") opt[$1]='' kind[$1]=required about[$1]=$2; }
flag() { names+=("$1") opt[$1]='' kind[$1]=flag about[$1]=$2; }

usage() {
  local name default
  printf 'usage: %s [OPTION ...] [--config.KEY=VALUE ...]\n\n%s\n\n' "$0" "$summary"
  for name in "${names[@]}"; do
    case ${kind[$name]} in
      required) default='(required)' ;;
      flag) default='(default: no)' ;;
      *) default="(default: ${opt[$name]:-none})" ;;
    esac
    printf '  --%-18s %s %s\n' "$name" "${about[$name]}" "$default"
  done
  printf '  --%-18s %s\n' 'config.KEY=VALUE' 'overrides a value of the config; passed to mtv_jax.train unchanged' \
    'skip-batches=A:B' 'skips the batches A to B - 1; passed to mtv_jax.train unchanged' \
    'dry-run' 'print the commands, one a line, and run nothing (default: no)' 'help' 'show this and exit'
}

known() {
  local name
  for name in "${names[@]}"; do [ "$name" != "$1" ] || return 0; done
  return 1
}

parse() {
  local name
  while [ "$#" -gt 0 ]; do
    # The dry run prints one line per command.
    case $1${2-} in *$'\n'*) fail "${1%%$'\n'*}: a value may not hold a line break" ;; esac
    case $1 in
      --help | -h) usage && exit 0 ;;
      --dry-run) dry_run=yes && shift && continue ;;
      --config.*=* | --skip-batches=*) overrides+=("$1") && shift && continue ;;
      --config.* | --skip-batches)
        [ "$#" -ge 2 ] || fail "$1: no value; write $1=VALUE"
        overrides+=("$1" "$2") && shift 2 && continue
        ;;
    esac
    name=${1%%=*} name=${name#--}
    case $1 in --*) known "$name" ;; *) false ;; esac || fail "$1: unknown option; $0 --help lists them"
    if [ "${kind[$name]}" = flag ]; then
      [ "$1" = "--$name" ] || fail "--$name takes no value"
      opt[$name]=yes && shift
    elif [[ $1 == *=* ]]; then
      opt[$name]=${1#*=} && shift
    else
      [ "$#" -ge 2 ] || fail "--$name: no value"
      opt[$name]=$2 && shift 2
    fi
  done
  for name in "${names[@]}"; do
    [ "${kind[$name]}" != required ] || [ "${opt[$name]}" ] || fail "--$name is missing; see $0 --help"
  done
}

# need TOOL HINT: fails unless the tool is installed or this is a dry run.
need() { [ "$dry_run" ] || command -v "$1" >/dev/null || fail "$1 is not installed: $2"; }

# Quotes the words as one line of shell.
quoted() {
  local word line='' quote="'\\''"
  for word in "$@"; do
    case $word in '' | *[!A-Za-z0-9_@%+=:,./-]*) word=\'${word//\'/"$quote"}\' ;; esac
    line+="$word "
  done
  printf '%s\n' "${line% }"
}

run() { if [ "$dry_run" ]; then quoted "$@"; else "$@"; fi; }

# train_with PYTHON [--config.KEY=VALUE ...]: sets `train` to the command. The user's options come last and win.
# shellcheck disable=SC2034
train_with() {
  train=("$1" -m mtv_jax.train --config "${opt[config]}" --workdir "${opt[workdir]}" "${@:2}" "${overrides[@]}")
}

# The config must be a file of the checkout, since other machines receive only that.
config_of_checkout() {
  local file=${opt[config]%%:*}
  [ -f "$root/$file" ] || fail "--config ${opt[config]}: no such file in $root"
}

# The same for machines that share this one's file system.
config_is_there() { [[ ${opt[config]} == /* && -f ${opt[config]%%:*} ]] || config_of_checkout; }

# whole NAME ...: checks that the values of these options are whole numbers above 0.
whole() {
  local name
  for name in "$@"; do
    [[ ${opt[$name]} =~ ^[1-9][0-9]*$ ]] || fail "--$name ${opt[$name]}: must be a whole number above 0"
  done
}

# The name given with --name, or one derived from the last part of the workdir.
run_name() {
  local name=mtv-${opt[workdir]##*/}
  name=${opt[name]:-${name//_/-}}
  [[ $name =~ ^[a-z][-a-z0-9]{0,37}[a-z0-9]$ ]] ||
    fail "--name $name: must be at most 39 small letters, digits and hyphens, the first a letter"
  echo "$name"
}

# The topology has the spelling of mtv_jax.plan.
topology_is_spelled() {
  [[ ${opt[topology]} =~ ^[a-z0-9]+:[0-9]+(x[0-9]+)+$ ]] ||
    fail "--topology ${opt[topology]}: must be like v5p:4x4x8 or v6e:16x16"
}

# workdir_under MOUNT: files written elsewhere would be lost with the machine.
workdir_under() {
  [[ ${opt[workdir]} == "$1"/?* ]] || fail "--workdir ${opt[workdir]}: must be under $1, where the bucket is mounted"
}
