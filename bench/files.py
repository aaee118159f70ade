#!/usr/bin/env python3
"""files.py [-n ROUNDS] [JOB…]: everyday work in a folder of each mode (`rw`, `rw` with `protect`, `rw-no-delete`, `review`),
against no boundary.

Each round does every job once in each way, one after the other, in a fresh folder; the figure is the ratio of the
medians. The time is the job's own, taken inside: a session's start is `start.py`'s subject.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BULKHEAD = os.path.join(os.environ.get("BULKHEAD_BUILD", os.path.join(ROOT, "build/release")), "bin/bulkhead")
FILES = 5000

STATUS = "git -c core.fsmonitor=false status > /dev/null"
SEARCH = "rg -c needle src > /dev/null || true" if shutil.which("rg") else "grep -rc needle src > /dev/null || true"
# What is done first, untimed; what is timed.
JOBS = {
    "git status, first": ("true", STATUS),
    "git status, again": (f"{STATUS}; {STATUS}", STATUS),
    "git status, later": (f"{STATUS}; {STATUS}; sleep 1.5", STATUS),
    "git commit": (STATUS, "echo x >> src/d1/f1.c; git commit -qam change"),
    "make": ("true", "make -s -j2 all"),
    "untar 10,000 files": ("true", "tar xf ../many.tar"),
    "rm -rf": ("true", "rm -rf src"),
    "read all": ("true", "find src -type f -exec cat {} + > /dev/null"),
    "search": ("true", SEARCH),
    "search, again": (SEARCH, SEARCH),
}
WAYS = ("none", "rw", "protect", "rw-no-delete", "review")


def prepare(folder):
    """A project of 5,000 small C files in 50 folders, and beside it a tar file of 10,000."""
    for i in range(FILES):
        path = os.path.join(folder, f"project/src/d{i // 100}/f{i}.c")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(f"int f{i}(int x) {{ return x + {i}; }}\n")
    with open(os.path.join(folder, "project/Makefile"), "w") as file:
        file.write("O = $(patsubst src/%.c,out/%.o,$(wildcard src/d1/*.c))\nall: $(O)\n"
                   "out/%.o: src/%.c\n\t@mkdir -p $(@D)\n\tcc -O1 -c -o $@ $<\n")
    git = ["git", "-C", os.path.join(folder, "project"), "-c", "user.name=n", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["config", "user.name", "n"], ["config", "user.email", "a@b"], ["add", "-A"],
                  ["commit", "-qm", "begin"]):
        subprocess.run([*git, *words], check=True)
    many = os.path.join(folder, "many")
    for i in range(100):
        os.makedirs(os.path.join(many, f"d{i}"))
        for j in range(100):
            with open(os.path.join(many, f"d{i}/f{j}"), "w") as file:
                file.write("x" * 500)
    subprocess.run(["tar", "cf", os.path.join(folder, "many.tar"), "-C", folder, "many"], check=True)
    shutil.rmtree(many)


def timed(job, way, template, place):
    project = os.path.join(place, "project")
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(os.path.join(template, "project"), project, symlinks=True)
    first, then = JOBS[job]
    # git's index is of this copy, and of its files' owners as they are seen there (started as root, a session is not root).
    index = ["git", "status"]
    if way != "none":
        index = [BULKHEAD, "run", "--no-profile", "-q", "--mount", ".:rw", "--", *index]
    subprocess.run(index, cwd=project, env={**os.environ, "HOME": os.path.join(place, "home")}, check=True, capture_output=True)
    argv = ["sh", "-c", f"{{ {first}; }} >&2; a=$(date +%s%N); {{ {then}; }} >&2; b=$(date +%s%N); echo $((b - a))"]
    if way != "none":
        argv = [BULKHEAD, "run", "--no-profile", "-q", "--mount", f".:{way}", "--mount", f"{place}/many.tar:ro", "--", *argv]
    result = subprocess.run(argv, cwd=project, env={**os.environ, "HOME": os.path.join(place, "home")},
                            capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{job} ({way}): {result.stderr}")
    shutil.rmtree(os.path.join(place, "home"), ignore_errors=True)
    os.makedirs(os.path.join(place, "home"))
    return int(result.stdout) / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--rounds", type=int, default=7)
    parser.add_argument("jobs", nargs="*", help="by the beginning of its name; none: all")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bulkhead-bench-") as template:
        os.chmod(template, 0o755)
        prepare(template)
        place = os.path.join(template, "place")
        os.makedirs(os.path.join(place, "home"))
        shutil.copy(os.path.join(template, "many.tar"), place)
        print(f"{'job':20}" + "".join(f"{way:>14}" for way in WAYS) + "".join(f"{way:>14}" for way in WAYS[1:]))
        for name in JOBS:
            if options.jobs and not any(name.startswith(one) for one in options.jobs):
                continue
            times = {way: [] for way in WAYS}
            for _ in range(options.rounds):
                for way in times:
                    times[way].append(timed(name, way, template, place))
            middle = {way: statistics.median(values) for way, values in times.items()}
            print(f"{name:20}" + "".join(f"{middle[way]:12.1f}ms" for way in WAYS) +
                  "".join(f"{middle[way] / middle['none']:13.2f}x" for way in WAYS[1:]), flush=True)


if __name__ == "__main__":
    main()
