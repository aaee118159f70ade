"""Two names that change places all the time: renameat2(RENAME_EXCHANGE) as fast as the kernel does it."""
import os
import subprocess

SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>
static volatile sig_atomic_t stop;
static void on_term(int number) { (void)number; stop = 1; }
int main(int count, char** words) {
  if (count < 3) return 2;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  struct sigaction action = {.sa_handler = on_term};
  sigaction(SIGTERM, &action, 0);
  unsigned long long done = 0;
  puts("ready");
  fflush(stdout);
  while (!stop) done += renameat2(AT_FDCWD, words[1], AT_FDCWD, words[2], RENAME_EXCHANGE) == 0;
  if (done % 2) renameat2(AT_FDCWD, words[1], AT_FDCWD, words[2], RENAME_EXCHANGE);
  printf("%llu\n", done);
}
"""


class Swapper:
    """`with Swapper(folder, one, other) as swapper: …`, then `swapper.swaps`. At the end each is where it was."""

    def __init__(self, folder, one, other):
        self._program = os.path.join(folder, "swapper")
        self._names, self.swaps = (one, other), 0
        if not os.path.exists(self._program):
            subprocess.run(["gcc", "-O2", "-x", "c", "-o", self._program, "-"], input=SOURCE.encode(), check=True)

    def __enter__(self):
        self._child = subprocess.Popen([self._program, *self._names], stdout=subprocess.PIPE, text=True)
        self._child.stdout.readline()
        return self

    def __exit__(self, *_):
        self._child.terminate()
        self.swaps = int(self._child.communicate()[0])
