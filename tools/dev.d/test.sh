# Testing: everything (`test`), the quick look before a commit (`check`), sanitizers, fuzzing.

# packages: everything that building, running, testing and checking need, for a machine where that is decided once.
dev_packages() {
  need "${build_packages[@]}" "${run_packages[@]}" "${vm_packages[@]}" "${test_packages[@]}" "${check_packages[@]}" "${fuzz_packages[@]}"
  need_unstarted docker-registry
  need "${client_packages[@]}"
  need_boost
  need_runsc
  need_machine for_tests
  need_runsc_debian_12
}

# need_unstarted PACKAGE…: without the services they bring; a test that wants one starts its own.
need_unstarted() {
  local lacking package
  mapfile -t lacking < <(missing "$@")
  ((${#lacking[@]} && EUID == 0)) || return 0
  RUNLEVEL=1 need "${lacking[@]}"
  [[ -d /run/systemd/system ]] || return 0
  for package in "${lacking[@]}"; do systemctl disable --quiet --now "$package.service" || true; done
}

# The agents that the whole-program tests drive, from npm; versions and hashes are pinned by the lock file.
need_agents() {
  local from=tests/agent to=.cache/agents
  cmp -s $from/package-lock.json $to/package-lock.json && return 0
  say "installing the agents that the tests drive (npm, into $to)"
  rm -rf $to
  mkdir -p $to.new
  cp $from/package.json $from/package-lock.json $to.new/
  # Their install scripts are not needed, and nobody has read them.
  (cd $to.new && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
  chmod 755 .cache
  mv $to.new $to
}

# unit_tests PRESET: one line when they pass, what went wrong when they don't.
unit_tests() {
  local log=build/$1/ctest.log begin=$SECONDS
  # Two at once would write each other's logs.
  if ! (flock 9 && ctest --test-dir "build/$1" -j2 --timeout 300 --output-on-failure >"$log" 2>&1 9<&-) 9<"build/$1/CMakeFiles"; then
    grep -vE '^ *[0-9]+/[0-9]+ .*Passed' "$log" | tail -n 120 >&2
    summary="unit tests ($1): FAILED"
    say "$summary"
    return 1
  fi
  summary="unit tests ($1): $(grep -oE 'out of [0-9]+' "$log" | grep -oE '[0-9]+') programs passed, $((SECONDS - begin)) s"
  say "$summary"
}

# test [PATTERN…]: everything, or only the whole-program tests whose name contains a pattern.
dev_test() {
  need "${run_packages[@]}" "${build_packages[@]}" "${vm_packages[@]}" "${test_packages[@]}"
  need_agents
  need_runsc
  need_machine for_tests
  need_runsc_debian_12
  build release programs victims
  local lines=() failed=0 log=build/release/whole-program.log rest_log=build/release/rest.log summary= rest=
  # The whole-program tests mostly wait, and the unit tests are half of what is compiled.
  if (($# == 0)); then
    "${behind[@]}" "$root/dev" build >"$rest_log" 2>&1 &
    rest=$!
    trap "kill -- -$rest 2>/dev/null || true" EXIT
  fi
  # AGENT_RUNS: how often Claude Code goes through its script (three times without it); the others a tenth of it.
  env ${AGENT_RUNS:+BULKHEAD_AGENT_RUNS="$AGENT_RUNS"} python3 tests/run.py "$@" 2>&1 | tee "$log" || failed=1
  lines+=("$(tail -n 1 "$log")")
  if [[ -n $rest ]]; then
    local built=1
    wait "$rest" || built=0
    trap - EXIT
    if ((built)); then
      unit_tests release || failed=1
      lines+=("$summary")
    else
      cat "$rest_log" >&2
      lines+=("unit tests (release): FAILED: they do not build")
      failed=1
    fi
  fi
  printf 'dev test: %s; %s\n' "$( ((failed)) && echo FAILED || echo passed)" "$(printf '%s; ' "${lines[@]}" | sed 's/; $//')"
  return $failed
}

# old_kernel [PATTERN…]: in a machine of the tier vm; the native tier's tests on the kernel of the installed Debian.
dev_old_kernel() {
  need "${run_packages[@]}" "${build_packages[@]}" "${vm_packages[@]}" "${test_packages[@]}"
  need_machine for_tests
  build release
  python3 tests/old_kernel.py "$@"
}

# behind COMMAND…: a command of these, when nothing else wants the processor.
dev_behind() {
  "${behind[@]}" "$root/dev" "$@" &
  trap "kill -- -$! 2>/dev/null || true" EXIT
  wait $!
  trap - EXIT
}

check_format() {
  mapfile -t files < <(git ls-files -- '*.cc' '*.h')
  local bad
  bad=$(clang-format-19 --dry-run -Werror "${files[@]}" 2>&1 | grep -oE '^[^:]+\.(cc|h)' | sort -u) || true
  [[ -z $bad ]] && return 0
  say "not formatted (clang-format-19 -i mends it):"
  printf '  %s\n' $bad >&2
  return 1
}

# clang-tidy is slow: only what differs from the last commit, or what that commit changed when nothing differs.
check_tidy() {
  local files
  mapfile -t files < <(git diff --name-only --diff-filter=d HEAD -- 'src/*.cc' 'guest/*.cc')
  ((${#files[@]})) || mapfile -t files < <(git diff --name-only --diff-filter=d HEAD~1 -- 'src/*.cc' 'guest/*.cc' 2>/dev/null)
  ((${#files[@]})) || return 0
  printf '%s\0' "${files[@]}" | xargs -0 -n 4 -P 2 clang-tidy-19 -p build/release --quiet >build/release/tidy.log 2>/dev/null
  # What a path through Boost's own code is said to do is not ours to change.
  if grep -E '(warning|error):' build/release/tidy.log | grep -v '/\.cache/boost/'; then
    return 1
  fi >&2
}

check_manuals() {
  command -v mandoc >/dev/null || { say "mandoc is not installed: the manual pages were not looked at"; return 0; }
  mandoc -T lint -W warning man/*.[0-9] >&2
}

check_scripts() {
  local file failed=0
  for file in dev .ci/run tools/dev.d/*.sh completions/bulkhead.bash; do
    bash -n "$file" || failed=1
  done
  python3 - <<'PYTHON' || failed=1
import ast, pathlib
for path in pathlib.Path(".").glob("[tb]*/**/*.py"):
    ast.parse(path.read_text(), str(path))
PYTHON
  return $failed
}

check_build() { # warnings are errors here
  local kept=build/release/warnings files
  build release all fuzz_sources |& cat >&2 || return
  [[ -s $kept ]] || return 0
  # Those of earlier builds may be mended: what they name is compiled once more.
  mapfile -t files < <(cut -d: -f1 "$kept" | sort -u)
  rm "$kept"
  (cd build/release && touch -c -- "${files[@]}")
  build release all fuzz_sources |& cat >&2 || return
  [[ ! -s $kept ]] || { sort -u "$kept" >&2; return 1; }
}

dev_check() {
  need "${run_packages[@]}" "${check_packages[@]}" "${fuzz_packages[@]}" python3
  local step failed=() summary=
  for step in build format tidy manuals scripts; do
    (check_$step) || failed+=("$step")
  done
  python3 tools/check_tables.py build/release/bin/bulkhead || failed+=(tables)
  unit_tests release || failed+=(unit-tests)
  if ((${#failed[@]})); then
    say "check: FAILED: ${failed[*]}"
    return 1
  fi
  say "check: passed"
}

sanitized() {
  need "${run_packages[@]}"
  build "$1"
  local summary=
  unit_tests "$1"
}
dev_asan() {
  export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}
  export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
  sanitized asan
}
dev_tsan() { sanitized tsan; }

# fuzz [--fast] [SECONDS [NAME…]]: every target, or the named ones, over its corpus, then SECONDS (30) of new inputs each.
# --fast is without sanitizers, for many inputs; what it learns, the next run with them goes over.
dev_fuzz() {
  local preset=asan
  if [[ ${1:-} == --fast ]]; then preset=fuzz-fast && shift; fi
  local seconds=${1:-30} target name failed=() count=0
  [[ $seconds =~ ^[0-9]+$ ]] || { say "fuzz takes seconds and names of targets: ./dev fuzz 60 http dns"; return 2; }
  local targets=("${@:2}")
  ((${#targets[@]})) || { targets=(fuzz/*_fuzz.cc) && targets=("${targets[@]##*/}") && targets=("${targets[@]%_fuzz.cc}"); }
  for name in "${targets[@]}"; do
    [[ -e fuzz/${name}_fuzz.cc ]] || { say "there is no fuzz target $name; there are: $(cd fuzz && echo *_fuzz.cc | sed 's/_fuzz\.cc//g')"; return 2; }
  done
  need "${fuzz_packages[@]}"
  build $preset "${targets[@]/%/_fuzz}"
  for name in "${targets[@]}"; do
    target=build/$preset/fuzz/${name}_fuzz
    mkdir -p "build/fuzz/corpus/$name" "build/fuzz/found/$name"
    # A target that compares with another parser begins with what its plain one knows.
    local seeds=fuzz/corpus/$name log=build/fuzz/$name.log
    [[ -d $seeds ]] || seeds=${seeds%_peers}
    # First what is committed, once each; then new ones, which are kept in the build folder.
    if "$target" -runs=0 "$seeds" >"$log" 2>&1 &&
      "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/found/$name/" "build/fuzz/corpus/$name" "$seeds" >>"$log" 2>&1; then
      sed -n "s/^stat::number_of_executed_units: /$name /p" "$log" >>build/fuzz/executions
      say "fuzz $name: $(grep -oE 'number_of_executed_units: [0-9]+' "$log" | grep -oE '[0-9]+') inputs in $seconds s, nothing found"
    else
      tail -n 40 "$log" >&2
      say "fuzz $name: FAILED; the input is in build/fuzz/found/$name"
      failed+=("$name")
    fi
    count=$((count + 1))
  done
  ((count)) || { say "there is no fuzz target"; return 1; }
  ((${#failed[@]} == 0)) || { say "fuzz: FAILED: ${failed[*]}"; return 1; }
  say "fuzz: $count targets, nothing found"
}

# The peers that `bench egress` measures beside the gateway. As root they are installed; an ordinary user is told how,
# and what is missing is left out. Nothing of them is started as a service.
peer_packages=(nginx-light haproxy squid-openssl mitmproxy libnghttp2-dev)
need_peers() {
  local lacking
  mapfile -t lacking < <(missing "${peer_packages[@]}")
  if ((${#lacking[@]} && EUID == 0)); then
    say "installing ${lacking[*]}"
    apt-get update -qq
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${lacking[@]}" >/dev/null
    if [[ -d /run/systemd/system ]]; then
      local service
      for service in nginx haproxy squid; do
        [[ " ${lacking[*]} " != *" $service"* ]] || systemctl disable --quiet --now $service.service || true
      done
    fi
  elif ((${#lacking[@]})); then
    say "these Debian packages are missing, and what they hold is not measured. As root:"
    printf '  RUNLEVEL=1 apt-get install -y --no-install-recommends %s\n' "${lacking[*]}" >&2
  fi
  local from=bench/egress to=.cache/peers
  cmp -s $from/package-lock.json $to/package-lock.json && return 0
  say "installing sandbox-runtime (npm, into $to)"
  rm -rf $to $to.new
  mkdir -p $to.new
  cp $from/package.json $from/package-lock.json $to.new/
  if (cd $to.new && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2); then
    chmod 755 .cache
    mv $to.new $to
  else
    rm -rf $to.new
    say "npm could not install sandbox-runtime: it is not measured"
  fi
}

# bench [NAME…]: every figure, or the named ones; bench egress …: the gateway beside its peers (bench/egress/main.py);
# bench files …: everyday work in each mount mode (bench/files.py).
dev_bench() {
  need "${run_packages[@]}" "${build_packages[@]}" "${test_packages[@]}"
  build release
  if [[ ${1:-} == egress ]]; then
    need_peers
    cmake --preset release >/dev/null
    build release egress-load
    exec python3 bench/egress/main.py "${@:2}"
  fi
  if [[ ${1:-} == files ]]; then
    need ripgrep
    exec python3 bench/files.py "${@:2}"
  fi
  python3 bench/run.py "$@"
}
