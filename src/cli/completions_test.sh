#!/usr/bin/env bash
# completions_test.sh BULKHEAD SOURCE: what the completions offer, against what the program knows.
set -uo pipefail
program=$(realpath "$1") source=$(realpath "$2")
failures=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$program" "$work/bulkhead"
# Run through the link: data files are found by the real path of the program.
PATH=$work:$PATH
export HOME=$work XDG_STATE_HOME= XDG_CONFIG_HOME=
cd "$work" || exit 1
touch policy.toml

# shellcheck disable=SC1091
source "$source/completions/bulkhead.bash"

complete_line() { # WORD…: the last one is being completed
  COMP_WORDS=("$@")
  COMP_CWORD=$(($# - 1))
  COMPREPLY=()
  _bulkhead 2>/dev/null
}
offers() { # "expected words" -- WORD…
  local expected=$1 word
  shift 2
  complete_line "$@"
  for word in $expected; do
    if [[ " ${COMPREPLY[*]} " != *" $word "* ]]; then
      echo "FAILED: \`$*\` does not offer $word (offers: ${COMPREPLY[*]:0:20})"
      failures=$((failures + 1))
    fi
  done
}
refuses() { # "words that must not be there" -- WORD…
  local unwanted=$1 word
  shift 2
  complete_line "$@"
  for word in $unwanted; do
    if [[ " ${COMPREPLY[*]} " == *" $word "* ]]; then
      echo "FAILED: \`$*\` offers $word"
      failures=$((failures + 1))
    fi
  done
}

offers "create list rm" -- bulkhead template ""
offers "run ps stop revoke reload trust diff apply discard handoff policy doctor version" -- bulkhead ""
offers "doctor" -- bulkhead do
refuses "run" -- bulkhead do
offers "--policy --profile --mount --env --tier --quiet" -- bulkhead run --
offers "claude codex shell" -- bulkhead run --profile ""
offers "claude" -- bulkhead run -P cl
offers "policy.toml" -- bulkhead run --policy pol
offers "native" -- bulkhead run --tier ""
offers "ro rw protect rw-no-delete review" -- bulkhead run --mount dir : ""
offers "HOME" -- bulkhead run --env HO
offers "bash" -- bulkhead run bas
offers "bash" -- bulkhead run --mount dir : ro bas
offers "bash" -- bulkhead run -q -- bas
refuses "--quiet --mount" -- bulkhead run bash --
offers "--json" -- bulkhead doctor --j
offers "show check explain init replay" -- bulkhead policy ""
mkdir -p "$work/.local/state/bulkhead/evidence"
touch "$work/.local/state/bulkhead/evidence/abcdefghijkl.jsonl"
offers "last abcdefghijkl" -- bulkhead policy init --from ""
mkdir -p "$work/.local/state/bulkhead/reviews/mnopqrstuvwx"
offers "mnopqrstuvwx policy.toml" -- bulkhead diff ""
offers "mnopqrstuvwx" -- bulkhead apply mnop
offers "mnopqrstuvwx" -- bulkhead discard ""
refuses "policy.toml" -- bulkhead discard ""
offers "last abcdefghijkl" -- bulkhead policy replay --policy policy.toml ""
offers "policy.toml" -- bulkhead policy replay --policy pol
offers "policy.toml" -- bulkhead policy check pol
offers "--all" -- bulkhead stop --
offers "--grant --credential --json" -- bulkhead revoke --
offers "policy.toml" -- bulkhead reload --policy pol

# Every option that --help shows is offered, and nothing that it does not show.
help_options() { "$program" "$@" --help | grep -oE -- '^ +(-[A-Za-z],)?--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort -u; }
for command in run start "template create" "template list" "template rm" ps stop revoke reload trust diff apply discard handoff doctor "policy show" "policy check" "policy explain" "policy init" "policy replay"; do
  # shellcheck disable=SC2086
  complete_line bulkhead $command --
  offered=$(printf '%s\n' "${COMPREPLY[@]}" | grep -E '^--[a-z]' | sort -u)
  # shellcheck disable=SC2086
  known=$(help_options $command)
  if [[ $offered != "$known" ]]; then
    echo "FAILED: options of $command: offered and known differ"
    diff <(echo "$offered") <(echo "$known")
    failures=$((failures + 1))
  fi
  # The zsh file names them too.
  for option in $known; do
    if ! grep -q -- "$option" "$source/completions/_bulkhead"; then
      echo "FAILED: completions/_bulkhead does not know $option of $command"
      failures=$((failures + 1))
    fi
  done
done
if command -v zsh >/dev/null && ! zsh -n "$source/completions/_bulkhead"; then
  echo "FAILED: completions/_bulkhead is no valid zsh"
  failures=$((failures + 1))
fi
((failures == 0)) && echo ok
exit $((failures > 0))
