"""Runs a command on the lab's host side: enter.py PID [--user] [--mount FROM TO]… -- COMMAND…

With --user the namespaces belong to a user namespace of the caller's (the way for an ordinary user). The
capabilities that entering gives are gone after exec, so COMMAND runs as the plain user it would be outside.
Mounts are for the arm without the boundary, whose programs find the lab's DNS through /etc/resolv.conf.
"""
import ctypes
import os
import signal
import sys

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x10000000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
libc = ctypes.CDLL(None, use_errno=True)


def check(result, what):
    if result != 0:
        sys.exit(f"enter: {what}: {os.strerror(ctypes.get_errno())}")


def main():
    words = sys.argv[1:]
    split = words.index("--")
    options, command = words[:split], words[split + 1:]
    pid = options.pop(0)
    user = None
    mounts = []
    while options:
        option = options.pop(0)
        if option == "--user":
            user = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY)
        elif option == "--mount":
            mounts.append((options.pop(0), options.pop(0)))
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    if user is not None:
        check(libc.setns(user, CLONE_NEWUSER), "setns user")
    check(libc.setns(network, CLONE_NEWNET), "setns net")
    if mounts:
        check(libc.unshare(CLONE_NEWNS), "unshare")
        check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "make / private")
        for source, target in mounts:
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
