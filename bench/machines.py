"""Machines of the tier vm: booted and gone on from what was saved, against QEMU alone with the same kernel; and what so many
of them have of this machine's memory."""
import json
import os

import gvisor_net
from common import BUILD, BULKHEAD, interleaved, procs, row
from gvisor_many import available, everybody
from live import Living, started
from memory import pss_kb

ROUNDS = 5
COUNTS = (1, 5, 10)

# QEMU with no more than the machine needs to get to its first program, until that has opened its port.
PLAIN = """
import json, os, socket, subprocess, sys
folder = sys.argv[1]
pairs = [socket.socketpair() for _ in range(2)]
(monitor, theirs), (port, far) = pairs
qemu = subprocess.Popen(["/usr/bin/qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35,accel=tcg,usb=off",
    "-cpu", "max", "-smp", "2", "-m", "1024M", "-kernel", folder + "/vmlinuz", "-initrd", folder + "/initrd", "-append",
    "quiet panic=-1 reboot=t random.trust_cpu=on", "-chardev", f"socket,id=port,fd={far.fileno()}", "-device", "virtio-serial-pci",
    "-device", "virtserialport,chardev=port,id=port0,name=bulkhead", "-chardev", f"socket,id=monitor,fd={theirs.fileno()}",
    "-mon", "chardev=monitor,mode=control"], pass_fds=[far.fileno(), theirs.fileno()])
theirs.close(); far.close()
monitor.send(b'{"execute": "qmp_capabilities"}')
for line in monitor.makefile():
    said = json.loads(line)
    if said.get("event") == "VSERPORT_CHANGE" and said["data"]["open"]: break
else:
    sys.exit("QEMU ended")
qemu.kill(); qemu.wait()
"""


def sizes(pids):
    """MB (PSS): of QEMU with what virtiofsd shares with it, and of all else."""
    machine, rest = 0, 0
    for pid in everybody(pids):
        if procs.name(pid).startswith(("qemu-system", "virtiofsd")):
            machine += pss_kb(pid) / 1000
        else:
            rest += pss_kb(pid) / 1000
    return machine, rest


def memory(bench, what):
    for count in COUNTS:
        before = available()
        with Living(bench, "vm", count, 2) as many:
            machine, rest = sizes(many.pids)
            yield row(f"vm: {count} {what}, each: QEMU and virtiofsd, PSS", machine / count, None, None, "report", "MB")
            yield row("  all else of it, PSS", rest / count, None, None, "report", "MB")
            yield row("  of the machine's memory", (before - available()) / count, None, None, "report", "MB")


def commands(bench):
    """In sessions that live, against native."""
    sessions = [started(bench, tier) for tier in ("native", "vm")]
    for name, argv in (("true", ["true"]), ("python3 -c pass", ["python3", "-c", "pass"])):
        native, vm = interleaved(bench, [[BULKHEAD, "exec", session, "--", *argv] for session in sessions], ROUNDS * 2)
        yield row(f"vm / native: exec {name}", vm * 1e3, native * 1e3, vm / native, "report")
    for session in sessions:
        bench.run([BULKHEAD, "stop", session])


def figures(bench):
    options = ["--quiet", "--tier", "vm", "--policy", bench.policy]
    session = [BULKHEAD, "run", *options, "--", "true"]
    plain = ["/usr/bin/python3", "-c", PLAIN, os.path.join(BUILD, "machine")]
    cold, alone = interleaved(bench, [session, plain], ROUNDS)
    yield row("vm: a session that boots / QEMU alone to its first program", cold * 1e3, alone * 1e3, cold / alone, "report")
    yield from memory(bench, "that booted")
    bench.run([BULKHEAD, "template", "create", "--tier", "vm", "--quiet"])
    listed = json.loads(bench.run([BULKHEAD, "template", "list", "--json"]).stdout)
    warm, alone = interleaved(bench, [session, plain], ROUNDS)
    yield row("vm: a session from a saved machine / QEMU alone to its first program", warm * 1e3, alone * 1e3, warm / alone, "<= 1000 ms",
              good=warm <= 1)
    yield row("vm: from a saved machine / one that boots", warm * 1e3, cold * 1e3, warm / cold, "report")
    yield row("  its size", listed[0]["bytes"] / 1e6, None, None, "report", "MB")
    yield from commands(bench)
    yield from gvisor_net.figures(bench, "vm")
    yield from memory(bench, "from a saved machine")
