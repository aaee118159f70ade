#!/usr/bin/env python3
"""check_tables.py BULKHEAD: that the tables, the documents and the tests say the same."""
import os
import re
import subprocess
import sys

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
os.chdir(root)
wrong = []


def text(path):
    with open(path) as file:
        return file.read()


def attack_rows():
    setups = text("tests/attacks/setups.py")
    ids = set()
    for number, line in enumerate(text("tests/attacks.tsv").split("\n"), 1):
        if not line or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) not in (5, 6):  # the sixth: why the row is about the native tier only
            wrong.append(f"tests/attacks.tsv:{number}: {len(fields)} columns instead of 5 or 6")
            continue
        identity, victim, _, setup, off = fields[:5]
        ids.add(identity)
        if not os.path.exists(f"tests/victims/{victim}.cc"):
            wrong.append(f"tests/attacks.tsv:{number}: there is no tests/victims/{victim}.cc")
        if setup not in ("-", "collector") and f"def {setup}(" not in setups:
            wrong.append(f"tests/attacks.tsv:{number}: there is no setup {setup}")
        if off not in ("works", "root", "kernel"):
            wrong.append(f"tests/attacks.tsv:{number}: column 5 is {off}")
    return ids


def tested_ids():
    """Ids in the names of tests: test_X23_…"""
    found = set()
    for folder, _, names in os.walk("tests"):
        for name in names:
            if name.startswith("test_") and name.endswith(".py"):
                found.update(re.findall(r"\b([A-Z]\d\d)\b", text(os.path.join(folder, name)).replace("_", " ")))
    return found


def guarantees(known):
    for line in text("docs/guarantees.md").split("\n"):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != 5 or not re.fullmatch(r"(\w\d\d(, )?)+", cells[4]):
            continue
        for identity in cells[4].split(", "):
            if identity not in known:
                wrong.append(f"docs/guarantees.md: {cells[0]} names the attack {identity}, which no test has")


def generated(program):
    made = subprocess.run([program, "doctor", "--guarantees-markdown"], capture_output=True, text=True)
    if made.returncode == 0 and made.stdout != text("docs/guarantees.md"):
        wrong.append("docs/guarantees.md is out of date: bulkhead doctor --guarantees-markdown > docs/guarantees.md")


def links():
    """Files that documents name exist."""
    documents = ["README.md", "CONTRIBUTING.md", *(f"docs/{name}" for name in os.listdir("docs") if name.endswith(".md"))]
    for path in filter(os.path.exists, documents):
        for name in re.findall(r"`((?:src|docs|tests|bench|fuzz|tools|presets|profiles|man|packaging|guest)/[\w./-]+)`", text(path)):
            if not os.path.exists(name):
                wrong.append(f"{path}: there is no {name}")


guarantees(attack_rows() | tested_ids())
if os.path.exists(sys.argv[1]):
    generated(sys.argv[1])
links()
for line in wrong:
    print("tables:", line, file=sys.stderr)
sys.exit(bool(wrong))
