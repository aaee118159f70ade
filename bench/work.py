"""Everyday work inside against outside: a small C project compiled, `git status` on 5,000 files."""
import os
import shutil
import subprocess

from common import paired_ratio, row

PAIRS = 20


def c_project(folder):
    os.makedirs(folder)
    names = [f"part{n}" for n in range(12)]
    for name in names:
        with open(os.path.join(folder, name + ".c"), "w") as file:
            file.write("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n")
            for n in range(40):
                file.write(f"int {name}_{n}(int a, const char* b) {{ int s = a; for (size_t i = 0; i < strlen(b); i++) "
                           f"s = s * 31 + b[i] % {n + 3}; return s; }}\n")
    with open(os.path.join(folder, "main.c"), "w") as file:
        file.write("".join(f"int {name}_0(int, const char*);\n" for name in names) +
                   "int main(void) { return (" + " + ".join(f'{name}_0(1, "x")' for name in names) + ") == 0; }\n")
    with open(os.path.join(folder, "Makefile"), "w") as file:
        file.write("CFLAGS = -O1\nmain: $(patsubst %.c,%.o,$(wildcard *.c))\n\t$(CC) -o $@ $^\n"
                   "clean:\n\trm -f main *.o\n")


def git_project(folder):
    for n in range(5000):
        path = os.path.join(folder, f"d{n % 50}/e{n % 7}")
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, f"f{n}.txt"), "w") as file:
            file.write(f"{n}\n" * 10)
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=folder, check=True)


# What is compared is the work, not the start of a session: both sides run it many times in one process tree.
def loop(command, times):
    return ["/bin/sh", "-c", f"i=0; while [ $i -lt {times} ]; do {command} || exit 1; i=$((i+1)); done"]


def figures(bench):
    home = bench.work
    for name, make, command, times in (("compile a C project", c_project, "make -s clean && make -s -j2", 3),
                                       ("git status, 5,000 files", git_project, "git status -s >/dev/null", 30)):
        bench.work = os.path.join(bench.folder, "project-" + make.__name__)
        make(bench.work) if make is c_project else (os.makedirs(bench.work), make(bench.work))
        work = loop(command, times)
        # Each pair measures (start + work); the start is measured beside it and taken off.
        start = paired_ratio(bench, ["true"], bench.inside(["true"]), 10)
        _, outside, inside = paired_ratio(bench, work, bench.inside(work), PAIRS)
        net_outside, net_inside = (outside - start[1]) / times, (inside - start[2]) / times
        ratio = net_inside / net_outside
        yield row(f"{name}, inside / outside", net_inside * 1e3, net_outside * 1e3, ratio, "<= 1.05", good=ratio <= 1.05)
        shutil.rmtree(bench.work)
    bench.work = home
