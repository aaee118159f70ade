#!/usr/bin/env python3
"""review.py [-n ROUNDS]: everyday work in a folder of mode `review`, against no boundary and against mode `rw`.

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

JOBS = {
    "git status": "git -c core.fsmonitor=false status > /dev/null",
    "git commit": "echo x >> src/f1.c; git commit -qam change",
    "make": "make -s -j2 all",
    "untar 10,000 files": "tar xf ../many.tar",
    "read all": "cat src/*.c > /dev/null",
    "rm -r": "rm -r src",
}


def prepare(folder):
    """A project of 1000 small C files, and beside it a tar file of 10,000."""
    os.makedirs(os.path.join(folder, "project/src"))
    for i in range(1000):
        with open(os.path.join(folder, f"project/src/f{i}.c"), "w") as file:
            file.write(f"int f{i}(int x) {{ return x + {i}; }}\n")
    with open(os.path.join(folder, "project/Makefile"), "w") as file:
        file.write("O = $(patsubst src/%.c,out/%.o,$(wildcard src/f1?.c src/f2?.c))\nall: $(O)\n"
                   "out/%.o: src/%.c\n\t@mkdir -p out\n\tcc -O1 -c -o $@ $<\n")
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
    script = f"a=$(date +%s%N); {{ {job}; }} >&2; b=$(date +%s%N); echo $((b - a))"
    argv = ["sh", "-c", script]
    if way != "none":
        argv = [BULKHEAD, "run", "--no-profile", "-q", "--mount", f".:{way}", "--mount", f"{place}/many.tar:ro", "--", *argv]
    result = subprocess.run(argv, cwd=project, env={**os.environ, "HOME": os.path.join(place, "home")},
                            capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{job} ({way}): {result.stderr}")
    return int(result.stdout) / 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", "--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="bulkhead-bench-") as template:
        os.chmod(template, 0o755)
        prepare(template)
        place = os.path.join(template, "place")
        os.makedirs(os.path.join(place, "home"))
        shutil.copy(os.path.join(template, "many.tar"), place)
        print(f"{'job':22}{'none':>10}{'rw':>10}{'review':>10}{'rw':>8}{'review':>8}")
        for name, job in JOBS.items():
            times = {"none": [], "rw": [], "review": []}
            for _ in range(rounds):
                for way in times:
                    times[way].append(timed(job, way, template, place))
            shutil.rmtree(os.path.join(place, "home"), ignore_errors=True)
            os.makedirs(os.path.join(place, "home"))
            middle = {way: statistics.median(values) for way, values in times.items()}
            print(f"{name:22}" + "".join(f"{middle[way]:8.1f}ms" for way in times) +
                  "".join(f"{middle[way] / middle['none']:7.2f}x" for way in ("rw", "review")))


if __name__ == "__main__":
    main()
