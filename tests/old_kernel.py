#!/usr/bin/env python3
"""Runs whole-program tests on another kernel than this machine's: old_kernel.py [--root] [PATTERN…]

The kernel is that of the tier vm's machines (`./dev machine`): the one of the Debian release this machine runs, which on
Debian 12 is 6.1. The tests run in a session of that tier whose first program is one that was taken over
(tests/turned/init_main.cc): as root of that machine it loads what a usual Debian has loaded, permits what would hide a
missing boundary, and becomes an ordinary user (or stays root, with --root). Without a pattern: the attack table, on the tier native. The tiers gvisor and vm are not
tested there. Without KVM a test takes some ten times as long as here.
"""
import os
import subprocess
import sys
import tempfile
import time

from support import turned
from support.case import BUILD, ROOT
from support.turned import KERNEL

SHOWN = ("tests", "profiles", "presets", "control", "secrets", "docs", os.path.relpath(BUILD, ROOT))

# As root of the machine, in a folder with `as-root.out`, beside the session's command, which only waits. The tests' own
# files lie on ext4 in the machine's memory: a tmpfs of 6.1 has no extended attributes of users, which mode `review` needs.
SCRIPT = r"""
(
export PATH=/usr/bin:/usr/sbin:/bin:/sbin
set -e
trap 'echo "
ended with $?"' EXIT
echo 0 > /proc/sys/kernel/printk
echo 1 > /proc/sys/kernel/perf_event_paranoid
while read -r module; do insmod "$KERNEL/more/$module"; done < "$KERNEL/more/list"
mount -t sysfs sys /sys
mknod -m 666 /dev/fuse c 10 229
mknod -m 600 /dev/loop0 b 7 0
mkdir -p /run/etc /run/checkout
cp -a /etc/. /run/etc/
mount --bind /run/etc /etc
[ -e /etc/shadow ] || (umask 077; echo 'root:*:20000:0:99999:7:::' > /etc/shadow)
echo "tester:x:$TESTER:$TESTER::/tmp/home:/bin/sh" >> /etc/passwd
mount -o remount,size=90% /run
truncate -s 3G /run/disk
mkfs.ext4 -q /run/disk
mount --rbind "$ROOT" /run/checkout
losetup /dev/loop0 /run/disk
mount /dev/loop0 /tmp
chmod 1777 /tmp
if [ ! -e "$ROOT/tests" ]; then mkdir -p "$ROOT"; mount --rbind /run/checkout "$ROOT"; fi
mkdir -p /tmp/home
chown "$TESTER:$TESTER" /tmp/home
cd /tmp/home
ulimit -n 20000
$AS env -i PATH=/usr/bin:/bin HOME=/tmp/home LANG=C.UTF-8 BULKHEAD_BUILD="$BUILD" python3 -B "$ROOT/tests/run.py" -v $PATTERNS
) < /dev/null &
"""


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def policy(work):
    mounts = [(work, "rw"), (os.path.join(KERNEL, "more"), "ro")]
    mounts += [(os.path.join(ROOT, name), "ro") for name in SHOWN if os.path.exists(os.path.join(ROOT, name))]
    return ('version = 1\ntier = "vm"\nworkspace = "none"\n[limits]\nmemory = "6GB"\ncpus = 2\ntmp = "4GB"\n' +
            "".join(f'[[mount]]\npath = "{path}"\nmode = "{mode}"\n' for path, mode in mounts))


def main():
    words = sys.argv[1:]
    root = "--root" in words
    patterns = [word for word in words if word != "--root"] or ["attacks.test_table"]
    if not os.path.exists(os.path.join(KERNEL, "more/list")):
        sys.exit("old_kernel.py: no kernel for a machine: ./dev machine")
    with tempfile.TemporaryDirectory(prefix="bht-old-kernel.") as top:
        os.chmod(top, 0o755)
        program = turned.install(top)
        work = os.path.join(top, "work")
        os.mkdir(work)
        os.chmod(work, 0o777)
        values = {"KERNEL": KERNEL, "ROOT": ROOT, "BUILD": BUILD, "PATTERNS": " ".join(patterns), "TESTER": "1001",
                  "AS": "" if root else "setpriv --reuid 1001 --regid 1001 --clear-groups"}
        with open(os.path.join(work, "as-root.sh"), "w") as file:
            file.write("".join(f"{name}={quoted(value)}\n" for name, value in values.items()) + SCRIPT)
        said = os.path.join(work, "as-root.out")
        open(said, "w").close()
        os.chmod(said, 0o666)
        with open(os.path.join(top, "policy.toml"), "w") as file:
            file.write(policy(work))
        environment = {**os.environ, "XDG_STATE_HOME": os.path.join(top, "state")}
        session = subprocess.Popen([program, "run", "-q", "--policy", file.name, "--", "/bin/sleep", "infinity"], env=environment, cwd=os.path.join(ROOT, "tests"),
                                   stdin=subprocess.DEVNULL)
        last = ""
        try:
            with open(said) as file:
                while True:
                    ended = session.poll() is not None
                    text = file.read()
                    sys.stdout.write(text)
                    sys.stdout.flush()
                    last = (last + text)[-200:]
                    if (ended and not text) or "\nended with " in last:
                        break
                    time.sleep(0.5)
        finally:
            session.terminate()
            session.wait()
    sys.exit(0 if "\nended with 0\n" in last else 1)


main()
