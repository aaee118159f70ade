"""Everyday work inside against outside: a small C project compiled, `git status` on 5,000 files.

Beside it the price of Linux itself: the same outside, under a seccomp filter that allows everything and a Landlock
domain that does.
"""
import os
import shutil
import statistics
import subprocess

from common import interleaved, row, series

FLOOR = ["/usr/bin/python3", os.path.join(os.path.dirname(os.path.abspath(__file__)), "kernel_floor.py")]

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


def net_ratio(outside, other, start_outside, start_other):
    """Median over the rounds: the neighbour in each round saw the same machine."""
    return statistics.median((b - start_other) / (a - start_outside) for a, b in zip(outside, other))


def figures(bench):
    home = bench.work
    for name, make, command, times in (("compile a C project", c_project, "make -s clean && make -s -j2", 3),
                                       ("git status, 5,000 files", git_project, "git status -s >/dev/null", 30)):
        bench.work = os.path.join(bench.folder, "project-" + make.__name__)
        make(bench.work) if make is c_project else (os.makedirs(bench.work), make(bench.work))
        work = loop(command, times)
        # Each round measures (start + work); the start is measured beside it and taken off.
        nothing = interleaved(bench, [["true"], bench.inside(["true"]), [*FLOOR, "true"]], 10)
        outside, inside, floor = series(bench, [work, bench.inside(work), [*FLOOR, *work]], PAIRS)
        ratio = net_ratio(outside, inside, nothing[0], nothing[1])
        kernel = net_ratio(outside, floor, nothing[0], nothing[2])
        base = (statistics.median(outside) - nothing[0]) / times * 1e3
        yield row(f"{name}, inside / outside", base * ratio, base, ratio, "<= 1.05", good=ratio <= 1.05)
        yield row("  of it Linux: any seccomp filter and Landlock", base * kernel, base, kernel, "report")
        shutil.rmtree(bench.work)
    bench.work = home
