"""Runs a command on the lab's host side: enter.py PID [--user] [--mount FROM TO]… [--guard] -- COMMAND…

With --user the namespaces belong to a user namespace of the caller's (the way for an ordinary user). The
capabilities that entering gives are gone after exec, so COMMAND runs as the plain user it would be outside.
Mounts are for the arm without the boundary, whose programs find the lab's DNS through /etc/resolv.conf. FROM may be
`tmpfs:OPTIONS`: a small disk of its own.

--guard makes the machine's files read-only for COMMAND, but for /tmp: an attack that is meant to work must not
harm the machine it works on, and root's would.
"""
import ctypes
import os
import signal
import sys

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x10000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY, SYS_MOUNT_SETATTR = -100, 0x8000, 1, 442
WRITABLE = ("/tmp", "/proc", "/sys", "/dev")
libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        sys.exit(f"enter: {what}: {os.strerror(ctypes.get_errno())}")


def set_read_only(path, on):
    """mount_setattr(2) on the mount at `path` and all below it."""
    attributes = (ctypes.c_uint64 * 4)(MOUNT_ATTR_RDONLY if on else 0, 0 if on else MOUNT_ATTR_RDONLY, 0, 0)
    check(libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, path.encode(), AT_RECURSIVE, attributes, 32), f"guard {path}")


def main():
    words = sys.argv[1:]
    split = words.index("--")
    options, command = words[:split], words[split + 1:]
    pid = options.pop(0)
    user = None
    mounts, guard = [], False
    while options:
        option = options.pop(0)
        if option == "--user":
            user = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
        elif option == "--mount":
            mounts.append((options.pop(0), options.pop(0)))
        elif option == "--guard":
            guard = True
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if user is not None:
        check(libc.setns(user, CLONE_NEWUSER), "setns user")
    check(libc.setns(network, CLONE_NEWNET), "setns net")
    if mounts or guard:
        check(libc.unshare(CLONE_NEWNS), "unshare")
        check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "make / private")
        if guard:
            check(libc.mount(b"/tmp", b"/tmp", None, MS_BIND | MS_REC, None), "bind /tmp")
            set_read_only("/", True)
            for path in WRITABLE:
                set_read_only(path, False)
        # After the guard: these are copies of the test's own, which an attack may well change.
        for source, target in mounts:
            if source.startswith("tmpfs:"):
                check(libc.mount(b"tmpfs", target.encode(), b"tmpfs", 0, source[6:].encode()), f"tmpfs {target}")
            else:
                check(libc.mount(source.encode(), target.encode(), None, MS_BIND, None), f"bind {target}")
        os.chdir(os.getcwd())
    # Python ignores these two; what it starts should not inherit that.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    os.closerange(max(network, user or 0), max(network, user or 0) + 1)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"enter: {command[0]}: {error.strerror}")


main()
