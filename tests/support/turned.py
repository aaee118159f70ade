"""An installation of its own, whose machines' first program is one that was taken over (tests/turned/init_main.cc)."""
import os
import shutil
import subprocess

from .case import BUILD, ROOT

KERNEL = os.path.join(ROOT, ".cache/machine")


def install(top):
    """In `top`, which may be there; the path of its `bulkhead`."""
    shutil.copytree(os.path.join(BUILD, "bin"), os.path.join(top, "bin"))
    share = os.path.join(top, "share/bulkhead")
    os.makedirs(share, 0o755)
    for name in ("profiles", "presets", "control", "secrets"):
        os.symlink(os.path.join(ROOT, name), os.path.join(share, name))
    subprocess.run([os.path.join(ROOT, "tools/machine.sh"), KERNEL, os.path.join(BUILD, "turned/bulkhead-init-turned"),
                    os.path.join(share, "machine")], check=True)
    return os.path.join(top, "bin/bulkhead")
