# Building and running.

dev_help() {
  cat <<'EOF'
./dev run -- COMMAND…   set up, build, and run COMMAND behind the boundary (`bulkhead run`)
./dev test [PATTERN…]   set up, build, and run every test, or the whole-program tests whose names contain a pattern
./dev programs          build only, without the tests: what is installed
./dev build [PRESET]    build only, all there is (release, debug, asan, tsan, fuzz)
./dev check             format, warnings, fast tests: what to run before a commit
./dev asan | tsan       the unit tests under AddressSanitizer+UBSan, or ThreadSanitizer
./dev fuzz [--fast] [SECONDS [NAME…]]
                        the fuzz targets over their corpus, then for SECONDS each; --fast: without sanitizers
./dev runsc             fetch Debian 13's gVisor into .cache/ (for `--tier gvisor`)
./dev machine           fetch Debian's cloud kernel into .cache/ and build what it boots (for `--tier vm`)
./dev old_kernel [PATTERN…]
                        the attack table, or tests whose names contain a pattern, on Debian's own kernel
./dev packages          only the set-up: install the Debian packages that all of these need
./dev bench             the figures, each as a ratio against a baseline of the same run
./dev bench egress      the gateway beside Squid, mitmproxy, sandbox-runtime, HAProxy and nginx
EOF
}

dev_build() { build "${1:-release}"; }

dev_runsc() { need_runsc; }
dev_runsc_debian_12() { need_runsc_debian_12; }

dev_programs() { build release programs; }

dev_machine() {
  need_machine
  build release programs
}

dev_run() {
  # All of it asked for at once.
  local packages=("${run_packages[@]}" "${build_packages[@]}") machine=0
  [[ " $* " != *" vm "* && " $* " != *"=vm "* ]] || machine=1
  ((!machine)) || packages+=("${vm_packages[@]}")
  need "${packages[@]}"
  # Before the build, which packs what a machine boots.
  ((!machine)) || need_machine
  build release programs
  [[ " $* " != *" gvisor "* && " $* " != *"=gvisor "* ]] || need_runsc
  exec build/release/bin/bulkhead run "$@"
}
