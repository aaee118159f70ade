"""Start of `true`: a whole session (one TLS grant, one credential, evidence) against bubblewrap alone."""
import os

from common import interleaved, row

ROUNDS = 20


def same_mounts(bench):
    """bubblewrap with what the native tier mounts: the view, not the rest of a session."""
    words = ["bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--unshare-net",
             "--disable-userns", "--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv",
             "--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib64", "lib32"):
        if os.path.islink("/" + name):
            words += ["--symlink", os.readlink("/" + name), "/" + name]
    for path in ("/etc/ssl", "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/terminfo",
                 "/etc/java-17-openjdk", "/etc/localtime", "/etc/perl", "/etc/bash.bashrc", "/etc/profile", "/etc/gitconfig",
                 "/etc/login.defs", "/etc/mime.types", "/etc/services", "/etc/protocols", "/etc/passwd", "/etc/group",
                 "/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf"):
        if os.path.exists(path):
            words += ["--ro-bind", os.path.realpath(path), path]
    for path in ("/tmp", "/run", "/var", "/home", "/root"):
        words += ["--tmpfs", path]
    words += ["--dev", "/dev", "--tmpfs", "/dev/shm", "--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys",
              "--tmpfs", bench.home, "--bind", bench.work, bench.work, "--chdir", bench.work, "true"]
    return words


def figures(bench):
    bare = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"]
    mounts = same_mounts(bench)
    ours, first, second = interleaved(bench, [bench.inside(["true"]), bare, mounts], ROUNDS)
    yield row("start true / bwrap --unshare-all", ours * 1e3, first * 1e3, ours / first, "<= 4", good=ours / first <= 4)
    yield row("start true / bwrap, same mounts", ours * 1e3, second * 1e3, ours / second, "<= 2", good=ours / second <= 2)
