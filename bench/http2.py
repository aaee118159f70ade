"""HTTP/2 through the gateway against direct: nghttpd behind, h2load before it (Debian's nghttp2-server, -client).

Without a credential: the use of one is an event of its own, and at 5,000 events a second evidence makes a source wait.
"""
import os
import re
import shutil
import subprocess
import time

from common import HOST, row

PORT = 8443
# name, h2load's arguments, the file, what is wanted
LOADS = (("HTTP/2 GET 1 KB, c=1", ["-c1", "-m1"], "1k", 0.40),
         ("HTTP/2 GET 1 KB, 32 at once on one connection", ["-c1", "-m32"], "1k", 0.25),
         ("HTTP/2 GET 1 KB, 32 connections", ["-c32", "-m1"], "1k", 0.25),
         ("HTTP/2 GET 1 MB, c=1", ["-c1", "-m1"], "1m", 0.50),
         ("HTTP/1.1 before, HTTP/2 behind, GET 1 KB, c=1", ["-c1", "--h1"], "1k", 0.40),
         ("HTTP/1.1 before, HTTP/2 behind, GET 1 MB, c=1", ["-c1", "--h1"], "1m", 0.50))


def load(bench, arguments, file, direct):
    words = ["h2load", "-D", "4", "--warm-up-time=1", *arguments, f"https://{HOST}:{PORT}/{file}"]
    if direct:  # nghttpd speaks HTTP/2 only
        words = [word for word in words if word != "--h1"]
        words.insert(1, f"--connect-to=127.0.0.1:{PORT}")
    made = bench.run(words if direct else bench.inside(words))
    out = made.stdout.decode()
    found = re.search(r"finished in .*?, ([\d.]+) req/s", out)
    good = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", out)
    if not found or not good or good[2] != "0" or good[3] != "0" or "2xx" not in out:
        raise RuntimeError(out)
    return float(found[1])


def figures(bench):
    if not shutil.which("h2load") or not shutil.which("nghttpd"):
        print("HTTP/2 is not measured: apt-get install nghttp2-server nghttp2-client")
        return
    with open(bench.policy) as file:
        policy = file.read()
    with open(bench.policy, "w") as file:
        file.write(policy.replace(f'host = "{HOST}"\ncredential = "api"\n',
                                  f'host = "{HOST}"\nport = {PORT}\naddress = "127.0.0.1"\n'))
    for name, size in (("1k", 1024), ("1m", 1 << 20)):
        with open(os.path.join(bench.folder, name), "wb") as file:
            file.write(b"x" * size)
    certificate, key = bench.lab.authority.pair(HOST)
    server = subprocess.Popen(bench.enter(["nghttpd", "-a", "127.0.0.1", "-d", bench.folder, str(PORT), key, certificate]),
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        time.sleep(1)
        for name, arguments, file, wanted in LOADS:
            direct, through = load(bench, arguments, file, True), load(bench, arguments, file, False)
            yield row(name + ": through / direct", through, direct, through / direct, f">= {wanted} (later)", "/s")
    finally:
        server.kill()
        server.wait()
