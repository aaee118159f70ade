"""Where the gateway's time goes while small requests go through, one after another: perf(1) on the processes of the
session, each sample counted for the function it fell in, and that for what the function is part of.

Beside it, what each costs a request, and how often it is put to sleep and woken: at c=1 that is most of the delay.
"""
import bisect
import collections
import os
import subprocess
import sys

import figures
from arms import Bulkhead, Unavailable, WithCredential
from place import BUILD, program

# The first group with a word in the symbol's name takes it; kernel symbols have groups of their own.
KERNEL = [
    ("kernel: scheduling, waking", ("sched", "wake", "ttwu", "futex", "idle", "switch", "finish_task", "select_task", "enqueue",
                                    "dequeue", "update_curr", "pick_next", "poll_schedule", "_raw_spin_unlock_irq")),
    ("kernel: epoll and poll", ("ep_", "epoll", "do_sys_poll", "do_poll", "__pollwait", "poll_freewait")),
    ("kernel: unix sockets (lane, evidence)", ("unix_", "scm_", "pid_ns", "ns_capable", "pidfd")),
    ("kernel: TCP and IP", ("tcp", "ip_", "inet", "nf_", "veth", "net_rx", "napi", "dev_", "__dev", "netif", "eth_", "loopback",
                            "sch_", "fib", "neigh", "dst_", "qdisc", "nft", "process_backlog", "__netif", "csum", "br_")),
    ("kernel: socket buffers, copying", ("skb", "copy", "sock_", "__sock", "alloc", "kfree", "kmem", "slab", "page", "memcg",
                                         "obj_cgroup", "clear_", "___cache", "free_unref", "rep_movs", "iov_iter")),
    ("kernel: files (the log)", ("ext4", "jbd", "xfs", "btrfs", "vfs_", "file", "write_begin", "write_end", "generic_perform",
                                 "balance_dirty", "folio", "filemap", "iomap", "overlay", "ovl_")),
    ("kernel: seccomp, entry, exit", ("seccomp", "entry", "syscall", "do_syscall", "bpf", "exit_to", "audit", "fpu", "fget",
                                      "fdget", "rcu", "security", "apparmor", "landlock")),
]
USER = [
    ("TLS and crypto", ("ssl", "tls", "SSL", "TLS", "EVP", "CRYPTO", "gcm", "aes", "AES", "OPENSSL", "BIO_", "bio_", "ERR_", "err_",
                        "RECORD", "ossl", "sha", "ecp", "ec_", "bn_", "BN_", "chacha", "poly1305", "hkdf", "HMAC", "rand_", "asn1",
                        "x509", "ASN1", "X509")),
    ("evidence (events as JSON)", ("nlohmann", "evidence", "Recorder", "record")),
    ("judge (grants)", ("grant", "judge", "Permits", "upstream_headers")),
    ("parser and serialiser (HTTP)", ("http::", "beast", "h2_", "nghttp2", "serialise")),
    ("lane (frames)", ("lane", "Frames", "EgressLane", "LaneSession", "append_body")),
    ("scrubber", ("Scrub", "Patterns", "scrub")),
    ("event loop, coroutines", ("asio", "awaitable", "epoll", "coroutine", "Stream", "Exchange", "Connection", "front::",
                                "egress::")),
    ("memory (malloc, copying)", ("malloc", "free", "_int_", "memcpy", "memmove", "memset", "mem", "operator", "str", "calloc",
                                  "realloc", "brk", "morecore", "systrim", "sysmalloc", "unlink_chunk")),
    ("C library: calls to the kernel", ("send", "recv", "write", "read", "epoll_wait", "poll", "clock_gettime", "pthread", "syscall",
                                        "vdso", "time")),
]


def group_of(symbol, kernel):
    for name, words in KERNEL if kernel else USER:
        if any(word in symbol for word in words):
            return name
    return "kernel: other" if kernel else "other"


class Symbols:
    """The functions of one process of ours. perf finds no program that was executed in another mount namespace."""

    def __init__(self, pid, name):
        self.base = 0
        with open(f"/proc/{pid}/maps") as file:
            for line in file:
                if "bulkhead" in line.split()[-1] or name in line.split()[-1]:
                    self.base = int(line.split("-")[0], 16)  # static-pie: linked at 0
                    break
        text = subprocess.run(["nm", "-C", "--defined-only", os.path.join(BUILD, "bin", "bulkhead-" + name)],
                              capture_output=True, text=True).stdout
        found = sorted((int(words[0], 16), words[2]) for words in (line.split(" ", 2) for line in text.split("\n"))
                       if len(words) == 3 and words[1] in "tTwWiu")
        self.starts, self.names = [at for at, _ in found], [text for _, text in found]

    def at(self, address):
        place = bisect.bisect_right(self.starts, address - self.base) - 1
        return self.names[place] if place >= 0 else "?"


def sample(place, names, seconds):
    """{pid: [(symbol, is it the kernel's)]} of perf's samples."""
    data = place.path("perf.data")
    done = subprocess.run([program("perf"), "record", "-q", "-F", "4999", "-e", "cpu-clock", "-o", data,
                           "-p", ",".join(map(str, names)), "--", "sleep", str(seconds)], capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable("perf record: " + (done.stderr.strip().split("\n") or ["?"])[-1])
    symbols = {pid: Symbols(pid, name) for pid, name in names.items()}
    text = subprocess.run([program("perf"), "script", "-i", data, "-F", "pid,ip,sym"], capture_output=True, text=True).stdout
    found = {pid: [] for pid in names}
    for line in text.split("\n"):
        words = line.split(None, 2)
        if len(words) < 2 or int(words[0]) not in found:
            continue
        pid, address = int(words[0]), int(words[1], 16)
        kernel = address >= 1 << 63
        found[pid].append((words[2] if kernel and len(words) == 3 else symbols[pid].at(address), kernel))
    return found


def switches(pid):
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith("voluntary_ctxt_switches"):
                return int(line.split()[1])
    return 0


def one(place, arm, figure, words):
    arm.client.prepare(figures.job(arm, figure, words.seconds + 1))
    names = {pid: name for pid, name in arm.pids().items() if name in ("front", "egress", "evidence")}
    before, slept = figures.cpu_seconds(names), {pid: switches(pid) for pid in names}
    arm.client.say("go")
    samples = sample(place, names, words.seconds) if program("perf") else {}
    result = arm.client.hear()
    after = figures.cpu_seconds(names)
    done = result["done"]
    print(f"\n{arm.name}: {figure.title}: {done / result['seconds']:,.0f} /s")
    for name in ("front", "egress", "evidence"):
        # Of the two egress processes one has nothing to do.
        busy = [pid for pid in names if names[pid] == name and (after[pid] - before[pid]) / done > 1e-6]
        for pid in busy:
            mine = samples.get(pid, [])
            us = (after[pid] - before[pid]) / done * 1e6
            print(f" {name}: {us:.1f} µs of CPU and {(switches(pid) - slept[pid]) / done:.2f} sleeps a request")
            groups, symbols = collections.Counter(), collections.defaultdict(collections.Counter)
            for symbol, kernel in mine:
                group = group_of(symbol, kernel)
                groups[group] += 1
                symbols[group][symbol.split('(')[0][-60:]] += 1
            for group, count in groups.most_common():
                top = ", ".join(f"{symbol} {n / len(mine):.0%}" for symbol, n in symbols[group].most_common(5))
                print(f"   {count / len(mine) * us:6.1f} µs {count / len(mine):4.0%}  {group:40} {top}")


def run(place, words, say):
    if not program("perf"):
        say("perf is not installed (Debian: linux-perf): only CPU time and sleeps are shown")
    ours = Bulkhead(place)
    try:
        for arm in (ours, WithCredential(ours)):
            for figure in figures.FIGURES:
                if figure.key in (words.only or ["get-1k"]) and figure.key != "memory":
                    one(place, arm, figure, words)
    except Unavailable as why:
        sys.exit(f"bench egress: {why}")
    return 0
