"""The tier gvisor: start of `true` against runsc alone with the same mounts, what work and requests cost against native
(gvisor_net.py), and many at once (gvisor_many.py)."""
import json
import os
import shutil
import time

import gvisor_many
import gvisor_net
from common import BULKHEAD, ROOT, interleaved, row
from support import images

ROUNDS = 15
RUNSC = os.path.join(ROOT, ".cache/runsc/usr/bin/runsc")
# As a session's, but for the room: a network namespace with nothing in it, uid 0 of a user namespace.
BARE = """set -e
mount -t tmpfs none /proc/sys/net/core
exec {runsc} --root={state} --network=sandbox --ignore-cgroups --overlay2=none run --bundle={bundle} bare-$$
"""


def bundle(bench, args, name):
    """The session's view as an OCI bundle: /usr, some of /etc, the workspace, in-memory folders."""
    folder = os.path.join(bench.folder, "bundle-" + name)
    root = os.path.join(folder, "root")
    for name in ("usr", "etc", "dev", "proc", "sys", "tmp", "run", "var", "home"):
        os.makedirs(os.path.join(root, name))
    for name in ("bin", "sbin", "lib", "lib64"):
        os.symlink(f"usr/{name}", os.path.join(root, name))
    mounts = [{"destination": "/proc", "type": "proc", "source": "proc"},
              {"destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"]},
              {"destination": "/etc", "type": "bind", "source": "/etc", "options": ["rbind", "ro"]}]
    mounts += [{"destination": path, "type": "tmpfs", "source": "tmpfs"} for path in ("/dev", "/dev/shm", "/tmp", "/run", "/var", "/home")]
    mounts.append({"destination": "/home/work", "type": "bind", "source": bench.work, "options": ["rbind", "rw"]})
    configuration = {
        "ociVersion": "1.0.2", "hostname": "bare", "root": {"path": root, "readonly": True}, "mounts": mounts,
        "process": {"user": {"uid": 0, "gid": 0}, "args": args, "env": [], "cwd": "/", "noNewPrivileges": True,
                    "capabilities": {}},
        "linux": {"namespaces": [{"type": name} for name in ("pid", "ipc", "uts", "mount")]
                  + [{"type": "network", "path": "/proc/self/ns/net"}]}}
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(configuration, file)
    return folder


def bare(bench, args=("/usr/bin/true",), name="start"):
    script = BARE.format(runsc=RUNSC, state=os.path.join(bench.folder, "state-" + name), bundle=bundle(bench, list(args), name))
    return ["unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script]


def on(bench, tier, argv):
    return [BULKHEAD, "run", "--quiet", "--tier", tier, "--policy", bench.policy, "--", *argv]


WORK = (("python -c pass, 10 times", "for i in 1 2 3 4 5 6 7 8 9 10; do python3 -c pass; done"),
        ("git init, add, commit", "rm -rf r; git init -q r && cd r && seq 1000 > f && git add f && "
                                  "git -c user.name=a -c user.email=a@b commit -qm x"),
        ("find /usr/share -type f", "find /usr/share/doc -type f | wc -l > /dev/null"),
        ("cc of a small program", "printf '#include <stdio.h>\\nint main(void){puts(\"x\");}\\n' > x.c && cc -O2 -o x x.c"))


def with_image(bench):
    """A session from an image: unpacked for it, from the cache, and from the host's /usr; on both tiers."""
    layout = images.Layout(os.path.join(bench.folder, "layout"))
    # A few thousand files, as a small distribution's image has.
    many = [images.file(f"usr/share/many/{i // 100}/{i}", b"x" * 2000) for i in range(4000)]
    layout.image([images.usable(), many])
    archive = layout.archive(os.path.join(bench.folder, "image.tar"))
    cache = os.path.join(bench.home, ".cache/bulkhead/images", layout.manifests[0]["digest"].split(":")[1])
    for tier in ("native", "gvisor"):
        command = on(bench, tier, ["/usr/bin/id"])
        there = [*command[:2], "--image", archive, *command[2:]]
        cold = []
        for _ in range(3):
            shutil.rmtree(cache, ignore_errors=True)
            began = time.monotonic()
            bench.run(there)
            cold.append(time.monotonic() - began)
        cached, plain = interleaved(bench, [there, command], ROUNDS)
        yield row(f"{tier}: start, image of 4,000 files unpacked / the host's /usr", sorted(cold)[1] * 1e3, plain * 1e3, sorted(cold)[1] / plain, "")
        yield row(f"{tier}: start, image from the cache / the host's /usr", cached * 1e3, plain * 1e3, cached / plain, "")
    shutil.rmtree(cache, ignore_errors=True)


def figures(bench):
    ours, theirs = interleaved(bench, [on(bench, "gvisor", ["true"]), bare(bench)], ROUNDS)
    yield row("gvisor: start true / runsc run, same mounts", ours * 1e3, theirs * 1e3, ours / theirs, "<= 1.3", good=ours / theirs <= 1.3)
    for name, script in WORK:
        words = ["sh", "-c", script]
        here, native = interleaved(bench, [on(bench, "gvisor", words), on(bench, "native", words)], 5)
        yield row(f"gvisor / native: {name}", here * 1e3, native * 1e3, here / native, "")
    yield from with_image(bench)
    yield from gvisor_net.figures(bench)
    yield from gvisor_many.figures(bench)
