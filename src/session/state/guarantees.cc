#include "session/state/guarantees.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "session/state/landlock.h"
#include "session/state/probe.h"

namespace bulkhead::session {

namespace {

constexpr std::array table = {
    Guarantee{"fs-view",
              "The workload sees the system's programs, its toolchains and the mounts of its policy; nothing else of "
              "HOME or of any other data on the host.",
              "mount namespace built by bubblewrap from an allow-list, each path opened and judged first and mounted "
              "by descriptor (bubblewrap 0.8); gvisor: the same list, staged for the sentry, which holds descriptors "
              "of it; vm: "
              "the same, for virtiofsd, which is confined to it (Landlock)",
              "native gvisor vm", "X01 X29", "userns bwrap"},
    Guarantee{"fs-ro", "What is mounted `ro` can't be changed; what is written outside the mounts is gone afterwards.",
              "read-only mounts in a namespace whose capabilities are dropped; fresh tmpfs for the rest (gvisor: the "
              "sentry's)",
              "native gvisor vm", "X01 X26 X29", "userns bwrap"},
    Guarantee{
        "fs-review",
        "What is written to a folder in mode `review` the host does not see until it is applied; applying takes all "
        "of it or nothing, overwrites nothing that changed on the host meanwhile, and brings no device, FIFO, socket "
        "or set-user-ID bit.",
        "overlayfs mounted in the session's user namespace (Linux 5.11), its upper layer in the user's state; "
        "openat2(2) without links, renames that a synced journal lists first",
        "native gvisor vm", "X01 X02 X07 X26", "userns overlay"},
    Guarantee{
        "fs-keep",
        "In a folder mounted `rw-no-delete`, what existed when the session began can be brought back with its "
        "mode, times and attributes, whatever the workload does to it.",
        "a FUSE mount in the session's user namespace (Linux 4.18), served from outside by a process that keeps an "
        "original before the operation that would lose it and is confined to that folder (Landlock ABI 2, 5.19)",
        "native vm", "X03 X08 X10 X26 X34", "userns fuse"},
    Guarantee{
        "fs-protect",
        "In a folder mounted `rw` with `protect`, or `rw-no-delete`, no file that the host's tools run or obey can be "
        "made, changed, moved or removed, at any depth and in any spelling, but what `allow_control` names.",
        "the same FUSE server, which judges the whole path of every operation, and what a folder's move would make of "
        "the files in it",
        "native vm", "X04 X05 X09 X26 X33 X37", "userns fuse"},
    Guarantee{
        "landlock",
        "A second, independent layer repeats the view of the files; a read-only mount below HOME, /tmp or another "
        "writable folder rests on the first alone.",
        "Landlock ABI 1 (Linux 5.13), truncation from ABI 3 (6.2), device ioctls from ABI 5 (6.10)", "native", "X01",
        "landlock"},
    Guarantee{"fs-secrets",
              "No mount brings in what logs the tools of a home folder in (SSH keys, clouds' and registries' logins, "
              "browsers' profiles, keyrings) unless it is said twice.",
              "a list of places, judged over what was opened", "native gvisor vm", "M02", ""},
    Guarantee{
        "managed",
        "What an administrator rules out no user, flag, profile, project, reload or answer brings back; rules that "
        "others could have written stop every session.",
        "judged last, over the finished policy, what was opened, and what changes while a session runs",
        "native gvisor vm", "M01", ""},
    Guarantee{
        "net-room",
        "Whatever address the workload dials, by whatever protocol, it reaches Bulkhead's gateway or nothing: no "
        "network, no loopback service of the host, no other session.",
        "a network namespace in which every address is local (AnyIP, Linux 2.6.37), entered without "
        "capabilities; socket families by allow-list (seccomp); gvisor: a network stack of the sentry's own, whose one "
        "interface is a wire into that namespace; vm: the machine's one network card is a tap there",
        "native gvisor vm", "U01 U02 U03 X20 X35", "userns room seccomp"},
    Guarantee{"net-grants",
              "A request leaves only when one grant allows its host, port, method, path, query and headers, judged "
              "twice; an empty list allows nothing; what is not canonical is refused.",
              "front and egress, two processes that judge separately", "native gvisor vm", "N16 H01 H02 H03", "room"},
    Guarantee{"net-dns",
              "No name that the workload asks for leaves the machine; only granted names are resolved, outside, once.",
              "DNS answered inside the room", "native gvisor vm", "D06 D07 D09", "room"},
    Guarantee{"net-address",
              "No granted name leads to a private, link-local, metadata or own address; what was checked is what is "
              "dialled. Not where the policy lets a proxy resolve names.",
              "egress resolves once and dials the address it checked, through a proxy by CONNECT to that address",
              "native gvisor vm", "D01 D02", ""},
    Guarantee{
        "trust",
        "In mode review a session sees no control file (hooks, tasks, agent settings, instructions) but those that "
        "the user trusted as they are now, in this folder; what changes is hidden and asked about again. Not in "
        "mode rw, whose start line names them.",
        "whiteouts in an overlayfs layer (Linux 5.11); content hashes in the user's state", "native gvisor vm",
        "X05 X06 X09 X11 X12 X13 X33 X37", "overlay"},
    Guarantee{
        "handoff",
        "What a session leaves in mode review that the host's git, editors, agents, shells or builds would run or obey "
        "comes to the host only after somebody was shown it and said yes to that content. In modes rw and "
        "rw-no-delete, where it is there at once, the session's last lines and `bulkhead handoff` name it.",
        "a list of such files, judged over both sides of each change; what is about to be renamed into place is "
        "compared "
        "with the content that was accepted",
        "native gvisor vm", "X04 X05 X06 X09 X15 X37", "overlay"},
    Guarantee{
        "image",
        "Of an image nothing is shown or run before every part of it was verified by its digest; unpacking it writes "
        "nowhere else; no link in it leads outside, no session changes it, and none speaks to another through it. Not "
        "of a folder, which is shown as it is.",
        "SHA-256 of each blob; umoci in namespaces of its own with that image and one folder (seccomp); all else lies "
        "over it in an overlay (Linux 5.11), read-only, nosuid",
        "native gvisor vm", "X01 X07 X10 X16 X22 X26", "overlay"},
    Guarantee{
        "output",
        "An output is bounded while it is written; what is collected follows no link and brings no device, set-user-ID "
        "bit or part of too much; what the host would run or obey waits for somebody's word.",
        "a tmpfs of the size that the policy says; openat2(2) without links; the gate of mode review",
        "native gvisor vm", "X05 X10 X27", "overlay"},
    Guarantee{"publish",
              "Through a published port connections come in, and none goes out: each begins on the host, at an address "
              "that was named (by itself only the loopback's), and ends at one port of the room.",
              "a relay without socket(2) and connect(2); sockets inside made by a process that is in the room",
              "native gvisor vm", "U04", "userns room seccomp"},
    Guarantee{"net-tls",
              "Every granted HTTPS host is verified against the system's roots before anything is sent; a session's CA "
              "and token are worth nothing in another session.",
              "OpenSSL 3 in egress; a CA made in front for each session, never on disk", "native gvisor vm", "T11 T13",
              ""},
    Guarantee{
        "cred-token",
        "No credential is in the workload's environment, files or memory: it holds the session's token, exchanged "
        "outside, only in the grant's one slot; any other key is refused.",
        "one egress process per credential, exec'd with an empty environment", "native gvisor vm",
        "C01 C02 X29 X30 X38", ""},
    Guarantee{"helpers", "The processes that read hostile bytes hold no capability, see no file, start no program.",
              "empty mount namespace, seccomp allow-list, no_new_privs, not dumpable", "native gvisor vm", "X21",
              "userns seccomp"},
    Guarantee{
        "kernel-seccomp",
        "System calls that everyday tools don't need are refused: io_uring, bpf, perf events, userfaultfd, keyrings, "
        "foreign ABIs, typing into terminals.",
        "seccomp filter on the workload (Linux 3.5; clone3 by ENOSYS); gvisor, vm: the same, applied by their kernel",
        "native gvisor vm", "X17 X18 X19 X20", "seccomp"},
    Guarantee{"own-kernel",
              "The workload's system calls are answered by a kernel of the session's own, which is an unprivileged "
              "program or runs in one; none of its processes is one of the host's.",
              "gVisor (runsc of 2024 or later, systrap), under its own seccomp filter, or Linux in a virtual machine "
              "(QEMU, KVM where it works) under QEMU's filter and Landlock; without capabilities, as the session's uid "
              "in the session's namespaces",
              "gvisor vm", "X19 X21 X25", ""},
    Guarantee{
        "userns", "The workload can't make user namespaces and holds no capability in any.",
        "bubblewrap --disable-userns (0.8), --cap-drop ALL, and seccomp; gvisor, vm: seccomp and an empty bounding "
        "set",
        "native gvisor vm", "X19", "userns bwrap"},
    Guarantee{
        "no-new-privs",
        "No program inside gains privilege by being executed: set-id bits and file capabilities do nothing. Nor is one "
        "left on the host that gives its owner's to whoever runs it, or its group's where that is root's: no file gets "
        "such a bit.",
        "no_new_privs (Linux 3.5), mounts without suid; seccomp, on vm that of virtiofsd as well", "native gvisor vm",
        "X22", "bwrap"},
    Guarantee{"uid", "The workload's uid never maps to the host's root, also when Bulkhead was started as root.",
              "an unprivileged uid for the session; what belongs to root is mounted id-mapped (Linux 5.12)",
              "native gvisor vm", "X32", "idmap"},
    Guarantee{"proc-sys", "/proc shows the session's own processes, and /proc/sys can't be written.",
              "pid namespace with its own proc, /proc/sys bound read-only", "native", "X21 X22 X32", "proc"},
    Guarantee{
        "ipc",
        "No socket, D-Bus, agent, display, shared memory, message queue, keyring or open descriptor of the host can "
        "be reached.",
        "ipc and network namespaces, the view, descriptors closed; a broker makes every connection to a unix socket "
        "(seccomp notification, Linux 5.19); abstract sockets and signals also scoped by Landlock ABI 6 (Linux 6.12); "
        "gvisor: the sentry's own, none of which reaches the host's (--host-uds=none); vm: its kernel's own",
        "native gvisor vm", "X16 X17 X36", "userns seccomp-notify"},
    Guarantee{
        "terminal",
        "Nothing inside can type into the user's terminal, nor answer or paint over what Bulkhead asks there, and what "
        "it "
        "prints can't make the terminal answer into the shell or write the clipboard.",
        "a pty and terminal session of its own, output filtered, held while a question is open, and drained at the end",
        "native gvisor vm", "X18 X31", "devpts"},
    Guarantee{
        "lifetime",
        "When any process of a session dies, by whatever hand, the workload dies, and no process, mount, socket or "
        "temporary file is left.",
        "pid namespace, PR_SET_PDEATHSIG, pidfd (Linux 5.3); the next start sweeps what a crash left; gvisor: all of "
        "runsc's "
        "is in memory that goes with it",
        "native gvisor vm", "X23", "syscalls"},
    Guarantee{
        "limits",
        "Limits on processes, files, memory, processor time, output and duration hold for the session as a whole, "
        "the host keeps room on its disks, and it can always be stopped.",
        "resource limits counted in the session's user namespace (gvisor: by the sentry, and its memory file "
        "watched; vm: what the machine has), tmpfs sizes, processor affinity, time and output counted outside, cgroup "
        "v2 where the user has "
        "one; the session ends when a disk it writes to runs low",
        "native gvisor vm", "X10 X24", "userns cgroup"},
    Guarantee{"trace",
              "Each process that begins, runs a program or ends, each file opened to be changed and each connection is "
              "recorded, or counted where there are too many; nothing inside can switch that off without taking over "
              "the kernel inside, and a session that stops telling ends.",
              "gVisor's trace points (runsc trace); vm: seccomp and the process connector of the machine's kernel, and "
              "a port of its own; read by a process that has nothing else",
              "gvisor vm", "X25 X39", ""},
    Guarantee{
        "file-changes",
        "What happens to files in mounts of modes rw and rw-no-delete is recorded as the host's kernel tells it, "
        "whatever the kernel inside says, or it is recorded that something may be missing; on vm, elsewhere where "
        "the policy says so.",
        "inotify on each folder, before the workload runs; a process that can list these folders and open no file",
        "native gvisor vm", "X39", ""},
    Guarantee{
        "templates",
        "Sessions from one template share what the command that made it wrote, and no token, CA, process or "
        "randomness; each holds its mounts to its own modes; one that is damaged, unfinished or made for another "
        "machine or policy starts nothing.",
        "in the saved memory is one process, ours; modes are enforced by the host's kernel; SHA-256 of every file "
        "and of all it depends on, checked at each start",
        "gvisor", "X40 X41 X42 X43", "runsc"},
    Guarantee{
        "saved-machine",
        "Sessions that go on from a machine that was saved share no memory, no randomness of the kernel's and no "
        "secret; "
        "their clock is the host's; one that is damaged, made for another machine or that somebody else could have "
        "written is not used.",
        "saved before it is told anything of a session; 64 fresh bytes into its kernel's generator and the time before "
        "the workload; a copy of its memory for each, SHA-256 of each byte on its way there",
        "vm", "X41 X42 X43", ""},
    Guarantee{"evidence",
              "Start, policy, each credential's release and the end are on the disk before they take effect, each "
              "request within 200 ms, written by a process that nothing inside can reach.",
              "bulkhead-evidence, sole holder of the log; fdatasync; a reserve for a full disk", "native gvisor vm",
              "X23", "state-dir"},
};

constexpr std::array<std::string_view, 13> not_promised = {
    "A flaw in the host's kernel: the native tier's workload talks to it directly, through a filter.",
    "A flaw in gVisor: what gets through it on the tier gvisor is a process of the session's uid that sees what the "
    "session was shown, and talks to the host's kernel through gVisor's own filter.",
    "A flaw in QEMU or virtiofsd: what gets through one on the tier vm is a process of the session's uid with QEMU's "
    "filter, or one that sees the folders that the session was shown; and, without KVM, a machine's own kernel is kept "
    "from its workload's by QEMU's emulation, which is not made for that.",
    "What a granted function can be told. A model's API sees whatever the agent sends it; a grant to write an issue "
    "can write anything into it; what is said in a WebSocket is counted, not judged.",
    "Timing, sizes, order and number of granted requests carry a little information out; budgets bound it.",
    "Which pages of the system's programs somebody on this machine has read lately. They are in memory once for all, "
    "and "
    "a page that is there is read faster: a session on native tells it in 199 of 200 tries, one on gvisor in 160. Two "
    "sessions that both want to can so send each other thousands of bits a second.",
    "A `rw` mount is really writable: files in it can be deleted, and, without `protect`, a hook or task file left "
    "there "
    "runs when the "
    "host's tools open that folder.",
    "A secret that a host echoes in an altered form (compressed, reversed, split) is not recognised in its answer.",
    "A value that a server handed out (`issue`) is recognised in other answers only while it is one of the last 64.",
    "Events that were never written, and a log rewritten by its owner: the record has no outside anchor yet.",
    "What a proxy between this machine and the network does with what goes through it: it sees which hosts are spoken "
    "to and how much, and all of what is not TLS.",
    "Anything for what speaks to a published port: a browser that opens it shows a page of the workload's, and every "
    "user of this machine can open it.",
    "Anything for a workload that is given the host's sockets, keys or HOME by its own policy.",
};

std::vector<std::string> words(std::string_view list) {
  return list.empty() ? std::vector<std::string>() : split(list, ' ');
}

bool contains(std::string_view list, std::string_view word) {
  const auto all = words(list);
  return std::ranges::find(all, word) != all.end();
}

}  // namespace

std::span<const Guarantee> guarantees() {
  return table;
}
std::span<const std::string_view> residuals() {
  return not_promised;
}

bool holds_on(const Guarantee& guarantee, Tier tier) {
  return contains(guarantee.tiers, name_of(tier));
}

std::vector<const Guarantee*> guarantees_needing(std::string_view probe) {
  std::vector<const Guarantee*> needing;
  for (const Guarantee& guarantee : table) {
    if (contains(guarantee.probes, probe)) needing.push_back(&guarantee);
  }
  return needing;
}

std::string guarantees_markdown() {
  std::string out =
      "# Guarantees\n\n"
      "What a session promises, what enforces it, and the attacks that prove it: their tests (`grep -rw ID tests "
      "src`)\n"
      "fail when the primitive is taken away.\n"
      "`bulkhead doctor` says which of them this machine can't give. Made from `src/session/state/guarantees.cc` by\n"
      "`bulkhead doctor --guarantees-markdown`; a test compares the two.\n\n"
      "| id | promise | enforced by | tiers | attacks |\n|---|---|---|---|---|\n";
  for (const Guarantee& g : table) {
    out += "| `" + std::string(g.id) + "` | " + std::string(g.sentence) + " | " + std::string(g.primitive) + " | " +
           std::string(g.tiers) + " | " + join(words(g.attacks), ", ") + " |\n";
  }
  out += "\n## What is not promised\n\n";
  for (const std::string_view residual : not_promised) out += "- " + std::string(residual) + "\n";
  out +=
      "\n## What the machine must have\n\n"
      "Checked by `bulkhead doctor`. *Required*: without it no session starts. Otherwise the session starts and its\n"
      "first line, or `doctor`, says what is missing.\n\n"
      "| check | what it looks for | required | guarantees that need it |\n|---|---|---|---|\n";
  for (const Probe& probe : probes()) {
    std::vector<std::string> ids;
    for (const Guarantee* g : guarantees_needing(probe.id)) ids.push_back("`" + std::string(g->id) + "`");
    out += "| `" + std::string(probe.id) + "` | " + std::string(probe.title) + " | " +
           (probe.kind == Kind::required                           ? "yes"
            : probe.kind == Kind::gvisor || probe.kind == Kind::vm ? "for that tier"
                                                                   : "no") +
           " | " + join(ids, ", ") + " |\n";
  }
  return out;
}

std::vector<Missing> start_line_missing(Tier tier) {
  std::vector<Missing> missing;
  if (tier != Tier::native) return {{"landlock", "a second layer over the files (Landlock)"}};
  const int abi = landlock_abi();
  if (const std::string lacks = landlock_lacks(abi); !lacks.empty()) {
    missing.push_back({"landlock", abi == 0 ? "no Landlock" : "Landlock ABI " + std::to_string(abi) + ": no " + lacks});
  }
  return missing;
}

std::vector<Missing> missing_by_policy(const Policy& policy) {
  std::vector<Missing> missing;
  if (policy.upstream.proxy_resolves) {
    missing.push_back({"net-address", "checked addresses (the proxy resolves names)"});
  }
  if (policy.tier == Tier::gvisor && policy.old_runsc) {
    missing.push_back({"own-kernel", "a gVisor of 2024 or later (the policy names Debian 12's, of 2022)"});
  }
  return missing;
}

}  // namespace bulkhead::session
