#!/usr/bin/env bash
# cli_test.sh BULKHEAD: the program from outside, without a session: exit statuses, streams, suggestions, ps and stop
# against stand-in supervisors. (Sessions themselves are tested in tests/.)
set -uo pipefail
program=$(realpath "$1")
failures=0
work=$(mktemp -d)
export HOME=$work/home
unset XDG_STATE_HOME XDG_CONFIG_HOME
mkdir -p "$HOME/project"
cd "$HOME/project" || exit 1
supervisors=()
clean() {
  local pid
  for pid in "${supervisors[@]}"; do kill -KILL "$pid" 2>/dev/null; done
  rm -rf "$work"
}
trap clean EXIT

wrong() {
  echo "FAILED: $*"
  failures=$((failures + 1))
}
# expect STATUS 'pattern in stdout' 'pattern in stderr' ARGUMENT…; an empty pattern wants an empty stream.
expect() {
  local status=$1 out=$2 err=$3 got
  shift 3
  "$program" "$@" >"$work/out" 2>"$work/err"
  got=$?
  ((got == status)) || wrong "bulkhead $*: exit status $got, not $status"
  check_stream "$work/out" "$out" "bulkhead $*: stdout"
  check_stream "$work/err" "$err" "bulkhead $*: stderr"
}
check_stream() {
  if [[ -z $2 ]]; then
    [[ ! -s $1 ]] || wrong "$3 is not empty: $(head -3 "$1")"
  else
    grep -qE -- "$2" "$1" || wrong "$3 lacks /$2/: $(head -3 "$1")"
  fi
}

expect 0 'Examples:' '' --help
expect 0 'bulkhead run -- bash' '' run --help
expect 0 '^bulkhead [0-9.]+$' '' --version
expect 0 '^bulkhead [0-9.]+$' '' version
expect 2 '' 'Subcommands:'
expect 2 '' '^bulkhead: there is no command "psx"; did you mean ps\?' psx
expect 2 '' 'there is no command "a.x1bb"' $'a\x1bb'
expect 2 '' 'did you mean --json' ps --jsn
expect 2 '' 'exclude each other' ps --json --quiet
expect 125 '' 'did you mean --policy' run --polcy x bash
expect 125 '' 'say what to run' run
expect 125 '' 'say what to run' run --
expect 125 '' 'there is no tier "gvsor"' run --tier gvsor bash
expect 125 '' 'exclude each other' run --profile shell --no-profile bash
expect 125 '' 'nope.toml' run --policy nope.toml bash
expect 125 '' 'claud' run --profile claud bash
expect 2 '' 'name a session' stop
expect 2 '' 'name a session' stop --all abc
expect 1 '' 'no running session "abc"' stop abc
expect 0 '' '' stop --all
expect 0 '^ID +TIER' '' ps
expect 0 '^\[\]$' '' ps --json
expect 0 '' '' ps --quiet
[[ ! -e $HOME/.local ]] || wrong "looking made $HOME/.local"

expect 0 '^version = 1' '' policy show
expect 0 'profile claude' '' policy show claude
expect 0 'profile claude' '' policy show -- /usr/bin/claude --resume
expect 0 '^claude$' '' policy profiles
printf 'version = 1\n' >good.toml
printf 'version = 1\nteir = "native"\n' >bad.toml
expect 0 'good.toml: ok' '' policy check good.toml
expect 1 '' 'bad.toml:2' policy check bad.toml
expect 1 'good.toml: ok' 'bad.toml:2' policy check good.toml bad.toml
HOME='' expect 1 '' 'HOME is not set' ps

# doctor: JSON that parses, an exit status that says the same, no colour where nobody looks.
"$program" doctor --json >"$work/doctor.json"
status=$?
usable=$(python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); assert d["probes"] and d["guarantees"]; print(d["tiers"]["native"])' "$work/doctor.json") ||
  wrong "doctor --json is no JSON"
[[ $usable == True && $status == 0 || $usable == False && $status == 1 ]] || wrong "doctor: usable $usable, status $status"
"$program" doctor | grep -q $'\x1b' && wrong "doctor colours a pipe"

# Stand-in supervisors: a process that holds a session's lock.
state=$HOME/.local/state/bulkhead
mkdir -p "$state/sessions" "$state/evidence"
chmod 700 "$state" "$state/sessions" "$state/evidence"
supervisor() { # ID COMMAND…: session.json as session/state/state.h describes it
  local dir=$state/sessions/$1 pid
  mkdir -m 700 "$dir"
  : >"$dir/lock"
  chmod 600 "$dir/lock"
  (
    exec 9<>"$dir/lock"
    flock -n 9 || exit 1
    exec "${@:2}"
  ) &
  pid=$!
  supervisors+=("$pid")
  python3 - "$dir/session.json" "$1" "$pid" <<'PY'
import json, sys
path, id, pid = sys.argv[1:]
start = int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[19])
json.dump({"v": 1, "id": id, "tier": "native", "profile": "", "workspace": "/w\x1b[2Jx", "command": ["sh", "-c", "a b"],
           "pid": int(pid), "pid_start_time": start, "boot_id": open("/proc/sys/kernel/random/boot_id").read().strip(),
           "started": "2026-01-02T03:04:05Z"}, open(path, "w"))
PY
  for _ in {1..50}; do
    flock -n "$dir/lock" true || return 0
    sleep 0.05
  done
  wrong "the stand-in never took its lock"
}
alive() { kill -0 "$1" 2>/dev/null && [[ $(cut -d' ' -f3 "/proc/$1/stat" 2>/dev/null) != Z ]]; }

supervisor aaaaaaaaaaaa sleep 300
supervisor aaaaaaaaaaab sleep 300
supervisor bbbbbbbbbbbb sleep 300
expect 0 "aaaaaaaaaaaa +native +- .*/w.x1b\[2Jx +sh -c 'a b'" '' ps
grep -q $'\x1b' "$work/out" && wrong "ps lets an escape through"
expect 0 '"id": "bbbbbbbbbbbb"' '' ps --json
expect 1 '' 'could be any of aaaaaaaaaaaa, aaaaaaaaaaab' stop aaa
expect 1 '' 'no running session' stop ''
expect 0 '^bbbbbbbbbbbb$' '' stop bb
alive "${supervisors[2]}" && wrong "stop left its supervisor"
[[ ! -e $state/sessions/bbbbbbbbbbbb ]] || wrong "stop left the session's directory"
alive "${supervisors[0]}" || wrong "stop stopped another session"

# A pid that is another process by now is not signalled.
sed -i -E 's/"pid_start_time": [0-9]+/"pid_start_time": 1/' "$state/sessions/aaaaaaaaaaab/session.json"
expect 1 '' 'is not its supervisor' stop aaaaaaaaaaab
alive "${supervisors[1]}" || wrong "stop signalled a process that is not the supervisor"
kill -KILL "${supervisors[1]}"

# A dead one is not listed.
for _ in {1..50}; do alive "${supervisors[1]}" || break; sleep 0.05; done
expect 0 '^aaaaaaaaaaaa$' '' ps --quiet
grep -q aaaaaaaaaaab "$work/out" && wrong "ps lists a dead session"

# One that ignores SIGTERM is killed after ten seconds.
supervisor cccccccccccc python3 -c 'import signal,time; signal.signal(15, signal.SIG_IGN); time.sleep(300)'
sleep 0.5
begin=$SECONDS
expect 0 '^cccccccccccc$' 'killing it' stop cc
took=$((SECONDS - begin))
((took >= 9 && took <= 13)) || wrong "stop took $took s for a stubborn session"
alive "${supervisors[3]}" && wrong "stop left a stubborn supervisor"
expect 0 '^aaaaaaaaaaaa$' '' stop --all
expect 0 '' '' ps --quiet

((failures == 0)) && echo ok
exit $((failures > 0))
