# Testing: everything (`test`), the quick look before a commit (`check`), sanitizers, fuzzing.

# packages: everything that building, running, testing and checking need, for a machine where that is decided once.
dev_packages() {
  need "${build_packages[@]}" "${run_packages[@]}" "${test_packages[@]}" "${check_packages[@]}"
  need_boost
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
  if ! ctest --test-dir "build/$1" -j2 --timeout 300 --output-on-failure >"$log" 2>&1; then
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
  need "${run_packages[@]}" "${test_packages[@]}"
  need_agents
  build release
  local lines=() failed=0 log=build/release/whole-program.log summary=
  if (($# == 0)); then
    unit_tests release || failed=1
    lines+=("$summary")
  fi
  BULKHEAD_AGENT_RUNS=${AGENT_RUNS:-3} python3 tests/run.py "$@" 2>&1 | tee "$log" || failed=1
  lines+=("$(tail -n 1 "$log")")
  printf 'dev test: %s; %s\n' "$( ((failed)) && echo FAILED || echo passed)" "$(printf '%s; ' "${lines[@]}" | sed 's/; $//')"
  return $failed
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
  build release
  ! grep -qE 'warning:' build/release/build.log 2>/dev/null || { grep -E 'warning:' build/release/build.log | sort -u >&2; return 1; }
}

dev_check() {
  need "${run_packages[@]}" "${check_packages[@]}" python3
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

# fuzz [SECONDS [NAME…]]: every target, or the named ones, over its corpus, then SECONDS (30) of new inputs each.
dev_fuzz() {
  local seconds=${1:-30} target name failed=() count=0
  [[ $seconds =~ ^[0-9]+$ ]] || { say "fuzz takes seconds and names of targets: ./dev fuzz 60 http dns"; return 2; }
  local targets=("${@:2}")
  ((${#targets[@]})) || { targets=(fuzz/*_fuzz.cc) && targets=("${targets[@]##*/}") && targets=("${targets[@]%_fuzz.cc}"); }
  for name in "${targets[@]}"; do
    [[ -e fuzz/${name}_fuzz.cc ]] || { say "there is no fuzz target $name; there are: $(cd fuzz && echo *_fuzz.cc | sed 's/_fuzz\.cc//g')"; return 2; }
  done
  build fuzz "${targets[@]/%/_fuzz}"
  for name in "${targets[@]}"; do
    target=build/fuzz/fuzz/${name}_fuzz
    mkdir -p "build/fuzz/corpus/$name" "build/fuzz/found/$name"
    mkdir -p "fuzz/corpus/$name"
    local log=build/fuzz/$name.log
    # First what is committed, once each; then new ones, which are kept in the build folder.
    if "$target" -runs=0 "fuzz/corpus/$name" >"$log" 2>&1 &&
      "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/found/$name/" "build/fuzz/corpus/$name" "fuzz/corpus/$name" >>"$log" 2>&1; then
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

dev_bench() {
  need "${run_packages[@]}" "${test_packages[@]}"
  build release
  python3 bench/run.py "$@"
}
