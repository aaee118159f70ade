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
expect 2 '' 'SESSION is required' revoke
expect 2 '' 'SESSION is required' reload
expect 1 '' 'no running session "abc"' reload abc --yes
expect 1 '' 'no running session "abc"' revoke abc
expect 0 'cut off' '' revoke --help
expect 0 '^ID +TIER' '' ps
expect 0 '^\[\]$' '' ps --json
expect 0 '' '' ps --quiet
[[ ! -e $HOME/.local ]] || wrong "looking made $HOME/.local"

expect 0 '^version = 1' '' policy show
expect 0 'profile claude' '' policy show claude
expect 0 'profile claude' '' policy show -- /usr/bin/claude --resume
expect 0 '^claude$' '' policy profiles
expect 0 '^github-push +refs, repos +Pushing to named branches' '' policy presets
mkdir -p "$HOME/.config/bulkhead/presets"
printf '# Mine.\nversion = 1\n[[grant]]\nhost = "a.example"\n[[grant.allow]]\nmethod = "GET"\npath = "/"\n' \
  >"$HOME/.config/bulkhead/presets/mine.toml"
printf 'version = 1\nx = 1\n' >"$HOME/.config/bulkhead/presets/bad.toml"
expect 0 '^mine  +Mine\.' '' policy presets
expect 0 "^bad .*can't be used: .*bad.toml:2: unknown key" '' policy presets
printf 'version = 1\n[[grant]]\npreset = "mine"\n' >mine.toml
expect 0 '^host = "a.example"' '' policy show --policy mine.toml
rm -r "$HOME/.config/bulkhead/presets"
printf 'version = 1\n' >good.toml
printf 'version = 1\nteir = "native"\n' >bad.toml
expect 0 'good.toml: ok' '' policy check good.toml
expect 1 '' 'bad.toml:2' policy check bad.toml
expect 1 'good.toml: ok' 'bad.toml:2' policy check good.toml bad.toml
expect 1 'good.toml: ok' 'bad.toml:2' policy check bad.toml good.toml
cat >open.toml <<'TOML'
version = 1
[[grant]]
host = "*.example.com"
[[grant.allow]]
method = "POST"
path = "/**"
TOML
expect 0 '^open.toml:2: warning: .*\[wildcard-host\]$' '' policy check open.toml
expect 0 'open.toml:4: warning: .*\[no-max-body\]' '' policy check open.toml
expect 0 'open.toml: ok: 1 mount, 1 grant, 0 credentials, 3 warnings' '' policy check open.toml
expect 1 'open.toml: ok' '' policy check --strict open.toml
expect 0 'good.toml: ok' '' policy check --strict good.toml
expect 1 '"ok": false' '' policy check --json good.toml bad.toml open.toml
python3 - "$work/out" <<'PY' || wrong "policy check --json is not what it should be"
import json, sys
good, bad, loose = json.load(open(sys.argv[1]))
assert good == {"file": "good.toml", "ok": True, "findings": []}, good
assert bad["error"].startswith("bad.toml:2"), bad
assert {f["code"] for f in loose["findings"]} == {"wildcard-host", "no-max-body", "unbounded-budget"}, loose
PY
printf 'version = 1\n[[grant]]\nhost = "x.example.com\\u001b"\n' >escape.toml
expect 1 '' 'x.example.com.x1b' policy check escape.toml

# What is shipped opens no more than it says.
for name in $("$program" policy profiles); do
  printf 'version = 1\nprofile = "%s"\n' "$name" >"$name.toml"
  expect 0 "$name.toml: ok" '' policy check --strict "$name.toml"
done

expect 0 'https://api.anthropic.com' '' policy explain claude
expect 0 'POST /v1/messages: send JSON up to 32 MB' '' policy explain -- claude
expect 0 'No host is granted' '' policy explain
# Where no session would start, a policy can be looked at all the same.
(cd "$HOME" && "$program" policy check project/good.toml && "$program" policy explain && "$program" policy show) >"$work/out" 2>&1 &&
  wrong "policy show in the home folder shows what no session has"
check_stream "$work/out" 'good.toml: ok' 'policy check in the home folder'
check_stream "$work/out" 'No host is granted' 'policy explain in the home folder'
check_stream "$work/out" 'holds your whole home folder' 'policy show in the home folder'
expect 0 'name that is asked for is data|name that is$' '' policy explain --policy open.toml
expect 0 '"code": "labels"' '' policy explain --policy open.toml --json
expect 2 '' 'did you mean --json' policy explain --jsno
"$program" policy explain claude | grep -q $'\x1b' && wrong "policy explain colours a pipe"
HOME='' expect 1 '' 'HOME is not set' ps

# doctor: JSON that parses, an exit status that says the same, no colour where nobody looks.
"$program" doctor --json >"$work/doctor.json"
status=$?
usable=$(python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); assert d["probes"] and d["guarantees"]; print(d["tiers"]["native"])' "$work/doctor.json") ||
  wrong "doctor --json is no JSON"
[[ $usable == True && $status == 0 || $usable == False && $status == 1 ]] || wrong "doctor: usable $usable, status $status"
"$program" doctor | grep -q $'\x1b' && wrong "doctor colours a pipe"

# init, and what recorded sessions teach. Nothing is on record yet.
expect 0 '^version = 1' '' policy init
expect 1 '' 'no session is on record' policy init --from last
expect 0 '^0 requests of 0 sessions' '' policy replay --policy good.toml
expect 2 '' 'beside --from' policy init --policy good.toml
expect 2 '' 'names no session' policy init --from ''
expect 2 '' 'say which policy' policy replay
expect 1 '' 'nope.toml' policy replay --policy nope.toml
expect 0 '' 'wrote starting.toml' policy init --output starting.toml
expect 0 'starting.toml: ok' '' policy check --strict starting.toml
expect 1 '' 'overwrites nothing' policy init --output starting.toml
ln -s "$work/elsewhere" link.toml
expect 1 '' 'overwrites nothing' policy init --output link.toml
[[ ! -e $work/elsewhere ]] || wrong "policy init wrote through a link"

evidence=$HOME/.local/state/bulkhead/evidence
mkdir -p "$evidence" "${evidence%/*}/sessions"
chmod 700 "${evidence%/*}" "$evidence" "${evidence%/*}/sessions"
python3 - "$evidence" <<'PY'
import json, sys
def record(session, day, events, profile="", command=("make",)):
    with open(f"{sys.argv[1]}/{session}.jsonl", "w") as file:
        first = {"source": "supervisor", "type": "session.start", "profile": profile, "command": list(command)}
        before = {"source": "supervisor", "type": "session.policy", "policy": {"grants": []}}
        for seq, event in enumerate([before, first] + events, 1):
            head = {"v": 1, "seq": seq, "time": f"2026-01-{day:02}T00:00:00.{seq:06}Z", "session": session}
            file.write(json.dumps(head | event, separators=(",", ":")) + "\n")
def asked(host, path, decision="deny", method="GET", **more):
    return {"source": "front", "type": "http.request", "method": method, "scheme": "https", "host": host, "port": 443,
            "path": path, "decision": decision, "rule": "" if decision == "allow" else "no-grant", "status": 200,
            "bytes_up": 0, "bytes_down": 1, "ms": 1, "body": "none"} | more
record("zzzzzzzzzzz2", 1, [asked("old.example", "/")])
record("zzzzzzzzzzz3", 3, [asked("api.example.com", "/v1/a", "allow", grant="1"), asked("api.example.com", "/v1/b"),
                           asked("evil.example", "/\x1b[2J\n[[grant]]"), asked("169.254.169.254", "/latest")])
record("aaaaaaaaaaa2", 2, [])
with open(f"{sys.argv[1]}/zzzzzzzzzzz3.jsonl", "a") as file:
    file.write("broken\n")
open(f"{sys.argv[1]}/notasession.jsonl", "w").write("x")
PY
ln -s /etc/passwd "$evidence/bbbbbbbbbbb2.jsonl"
mkfifo "$evidence/ccccccccccc2.jsonl"
expect 0 'host = "api.example.com"' '1 lines of the record of zzzzzzzzzzz3 are broken' policy init --from last
cp "$work/out" learned.toml
grep -q $'\x1b' learned.toml && wrong "policy init lets an escape through"
grep -q 'old.example' learned.toml && wrong "policy init --from last took another session"
grep -qE '^# +GET 169.254.169.254:443 .*address of the inside' learned.toml || wrong "policy init does not tell of an address"
expect 0 'learned.toml: ok: 1 mount, 1 grant' '' policy check --strict learned.toml
expect 0 'host = "old.example"' '' policy init --from zzzzzzzzzzz2
expect 1 '' 'could be any of zzzzzzzzzzz2, zzzzzzzzzzz3' policy init --from zz
expect 1 '' 'no session "qq"' policy init --from qq
expect 1 '' 'ELOOP' policy init --from bbbbbbbbbbb2
expect 1 '' 'no regular file' policy init --from ccccccccccc2

expect 3 'newly allowed' 'session bbbbbbbbbbb2 is left out' policy replay --policy learned.toml
expect 3 'GET https://api.example.com/v1/b \(by grant 1; first in zzzzzzzzzzz3\)' 'broken' policy replay --policy learned.toml last
expect 0 '1  denied, as before' '' policy replay --policy good.toml zzzzzzzzzzz2
expect 3 '1  now blocked' 'broken' policy replay --policy good.toml last
expect 3 '"blocked": 1' 'broken' policy replay --policy good.toml --json last
python3 -c 'import json,sys; d=json.load(open(sys.argv[1])); assert d["same_denied"] == 3 and d["kinds"][0]["what"] == "GET https://api.example.com/v1/a", d' "$work/out" ||
  wrong "policy replay --json is not what it should be"
rm -r "${evidence%/*}"

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
expect 1 '' 'could be any of' revoke aaa
expect 1 '' "can't be reached" revoke bb
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
