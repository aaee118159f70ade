#!/usr/bin/env python3
"""./dev bench files [-n ROUNDS] [JOB…]: everyday work in a folder of each mode (`rw`, `rw` with `protect`, `rw-no-delete`, `review`),
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
FILES, MANY = 5000, 100_000

STATUS = "git -c core.fsmonitor=false status > /dev/null"
SEARCH = "rg -c needle src > /dev/null || true" if shutil.which("rg") else "grep -rc needle src > /dev/null || true"
NPM = "npm ci --offline --ignore-scripts --no-audit --no-fund --loglevel=error --cache ../npm-cache"
# What is done first, untimed; what is timed; where, if not in the project of 5,000 files.
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
    "search 100,000": ("true", SEARCH, "large"),
    "npm ci": ("true", NPM, "npm"),
}
WAYS = ("none", "rw", "protect", "rw-no-delete", "review")


def small_files(folder, count):
    """So many small C files, in folders of a hundred."""
    for i in range(count):
        path = os.path.join(folder, f"src/d{i // 100}/f{i}.c")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(f"int f{i}(int x) {{ return x + {i}; }}\n")


def prepare(folder, jobs):
    """What the jobs work in: a project of 5,000 small C files, a tar file of 10,000, a tree of 100,000, one of npm's."""
    project = os.path.join(folder, "project")
    small_files(project, FILES)
    with open(os.path.join(project, "Makefile"), "w") as file:
        file.write("O = $(patsubst src/%.c,out/%.o,$(wildcard src/d1/*.c))\nall: $(O)\n"
                   "out/%.o: src/%.c\n\t@mkdir -p $(@D)\n\tcc -O1 -c -o $@ $<\n")
    git = ["git", "-C", project, "-c", "user.name=n", "-c", "user.email=a@b"]
    # checkStat: started as root, each session sees its own number as the owner, and git would read every file again.
    for words in (["init", "-q"], ["config", "core.checkStat", "minimal"], ["config", "user.name", "n"], ["config", "user.email", "a@b"], ["add", "-A"],
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
    wanted = {JOBS[job][2] for job in jobs if len(JOBS[job]) > 2}
    if "large" in wanted:
        small_files(os.path.join(folder, "large"), MANY)
    if "npm" in wanted:
        npm = os.path.join(folder, "npm")
        os.makedirs(npm)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(os.path.join(ROOT, "bench/npm", name), npm)
        # Once with a network: from then on everything is in the cache.
        subprocess.run(["sh", "-c", NPM.replace("--offline ", "")], cwd=npm, check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(os.path.join(npm, "node_modules"))


class Place:
    """Where one job is done, in one way after the other."""

    def __init__(self, template):
        self.template, self.home = template, os.path.join(template, "home")
        self.environment = {**os.environ, "HOME": self.home}

    def project(self, job):
        """A fresh copy, but of what is only read and large."""
        name = JOBS[job][2] if len(JOBS[job]) > 2 else "project"
        if name == "large":
            return os.path.join(self.template, name)
        copy = os.path.join(self.template, "place")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(os.path.join(self.template, name), copy, symlinks=True)
        return copy

    def session(self, way, argv):
        words = [BULKHEAD, "run", "--no-profile", "-q", "--mount", f".:{way}"]
        for name, mode in (("many.tar", "ro"), ("npm-cache", "rw")):
            path = os.path.join(self.template, name)
            words += ["--mount", f"{path}:{mode}"] if os.path.exists(path) else []
        return [*words, "--", *argv]

    def timed(self, job, way):
        """Milliseconds."""
        project = self.project(job)
        shutil.rmtree(self.home, ignore_errors=True)
        os.makedirs(self.home)
        first, then = JOBS[job][:2]
        if os.path.exists(os.path.join(project, ".git")):
            subprocess.run(["git", "status"], cwd=project, check=True, capture_output=True)  # its index is of this copy
        argv = ["sh", "-c", f"{{ {first}; }} >&2; a=$(date +%s%N); {{ {then}; }} >&2; b=$(date +%s%N); echo $((b - a))"]
        result = subprocess.run(argv if way == "none" else self.session(way, argv), cwd=project, env=self.environment,
                                capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit(f"{job} ({way}): {result.stderr}")
        return int(result.stdout) / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--rounds", type=int, default=7)
    parser.add_argument("jobs", nargs="*", help="by the beginning of its name; none: all")
    options = parser.parse_args()
    jobs = [job for job in JOBS if not options.jobs or any(job.startswith(one) for one in options.jobs)]
    if not jobs:
        sys.exit(f"files.py: no job begins with {' or '.join(options.jobs)}; there are: {', '.join(JOBS)}")
    with tempfile.TemporaryDirectory(prefix="bulkhead-bench-") as template:
        os.chmod(template, 0o755)
        prepare(template, jobs)
        place = Place(template)
        print(f"{'job':20}" + "".join(f"{way:>14}" for way in WAYS) + "".join(f"{way:>14}" for way in WAYS[1:]))
        for job in jobs:
            times = {way: [] for way in WAYS}
            for _ in range(options.rounds):
                for way in times:
                    times[way].append(place.timed(job, way))
            middle = {way: statistics.median(values) for way, values in times.items()}
            print(f"{job:20}" + "".join(f"{middle[way]:12.1f}ms" for way in WAYS) +
                  "".join(f"{middle[way] / middle['none']:13.2f}x" for way in WAYS[1:]), flush=True)


if __name__ == "__main__":
    main()
