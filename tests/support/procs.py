"""Looking at processes from the host side."""
import os


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def read(pid, name):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def command_line(pid):
    return read(pid, "cmdline").replace(b"\0", b" ").decode("utf-8", "replace").strip()


def state(pid):
    """As in proc(5): "S", "T" (stopped), "Z"…; empty where there is no such process."""
    stat = read(pid, "stat")
    return stat.rsplit(b")", 1)[1].split()[0].decode() if stat else ""


def is_zombie(pid):
    return state(pid) in ("", "Z", "X")


def parent(pid):
    stat = read(pid, "stat")
    return int(stat.rsplit(b")", 1)[1].split()[1]) if stat else 0


def name(pid):
    return read(pid, "comm").decode("utf-8", "replace").strip()


def part_of_bulkhead(pid):
    """Which of Bulkhead's own programs this is, as a word, or None. The shim is executed by descriptor inside."""
    found = name(pid)
    if command_line(pid).startswith("runsc"):
        return command_line(pid).split()[0]  # runsc, and its sentry and gofer
    if found == "bwrap" or found.startswith("bulkhead"):
        return found
    return "bulkhead-shim" if command_line(pid).startswith(("/proc/self/fd/", "/dev/fd/")) else None


def descendant_of_runsc(pid):
    while pid > 1:
        if command_line(pid).startswith("runsc "):
            return True
        pid = parent(pid)
    return False


def with_text(text):
    """Living processes whose command line contains `text`, this one aside."""
    found = []
    for pid in pids():
        if pid != os.getpid() and text in command_line(pid) and not is_zombie(pid):
            found.append(pid)
    return found


def descendants(pid):
    """All living processes below `pid`, nearest first."""
    children = {}
    for each in pids():
        children.setdefault(parent(each), []).append(each)
    found, queue = [], list(children.get(pid, []))
    while queue:
        each = queue.pop(0)
        queue += children.get(each, [])
        if not is_zombie(each):
            found.append(each)
    return found


def descendants_named(pid, text):
    """Of a name the kernel keeps fifteen bytes."""
    return [p for p in descendants(pid) if name(p) == text[:15]]


def qemus(pid):
    return descendants_named(pid, "qemu-system-x86_64")


def alive(pid):
    return os.path.exists(f"/proc/{pid}") and not is_zombie(pid)


def memory_contains(pid, needles, limit=4 << 30):
    """Which of the byte strings are somewhere in the process's readable memory (None: may not look)."""
    found = set()
    try:
        with open(f"/proc/{pid}/maps") as file:
            maps = file.read().splitlines()
        memory = open(f"/proc/{pid}/mem", "rb", buffering=0)
    except OSError:
        return None
    longest = max(map(len, needles))
    with memory:
        for line in maps:
            words = line.split()
            if "r" not in words[1] or (len(words) > 5 and words[5] in ("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            start, end = (int(part, 16) for part in words[0].split("-"))
            tail, at = b"", start
            while at < end and limit > 0:
                size = min(8 << 20, end - at)
                try:
                    memory.seek(at)
                    chunk = memory.read(size)
                except (OSError, ValueError, OverflowError):
                    break
                if not chunk:
                    break
                at += len(chunk)
                limit -= len(chunk)
                joined = tail + chunk
                found.update(needle for needle in needles if needle in joined)
                tail = joined[-longest:]
    return found
