"""A user's terminal for tests: a pty whose other end is a program, with what was shown and what was typed."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time


class Terminal:
    """Runs `command` on a pty of its own as the session leader with a controlling terminal, as a shell's job is."""

    def __init__(self, command, env, cwd, rows=24, columns=80):
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.shown = b""
        slave = os.ttyname(self.slave)
        self.process = subprocess.Popen(
            command, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=env, cwd=cwd,
            preexec_fn=lambda: lead(slave))

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode() if isinstance(text, str) else text)

    def pump(self, seconds):
        """Takes in what is shown for at most `seconds`; returns what came."""
        end = time.monotonic() + seconds
        came = b""
        while (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([self.master], [], [], left)
            if not ready:
                break
            try:
                data = os.read(self.master, 1 << 16)
            except OSError:
                break
            if not data:
                break
            came += data
            self.shown += data
        return came

    def expect(self, pattern, seconds=15):
        """Waits until what was shown since the last expect matches; returns the match."""
        end = time.monotonic() + seconds
        pattern = re.compile(pattern if isinstance(pattern, bytes) else pattern.encode(), re.S)
        while True:
            match = pattern.search(self.shown)
            if match:
                self.shown = self.shown[match.end():]
                return match
            if time.monotonic() > end:
                raise AssertionError(f"{pattern.pattern!r} was not shown within {seconds} s; shown: {self.shown[-2000:]!r}")
            self.pump(0.1)

    def wait(self, seconds=20):
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            self.pump(0.05)
            if time.monotonic() > end:
                self.close()
                raise AssertionError(f"no end after {seconds} s; shown: {self.shown[-2000:]!r}")
        self.pump(0.05)
        return self.process.returncode if self.process.returncode >= 0 else 128 - self.process.returncode

    def pending_input(self):
        """What the user's shell would now read as if it had been typed."""
        attributes = termios.tcgetattr(self.slave)
        attributes[3] &= ~(termios.ICANON | termios.ECHO)
        attributes[6][termios.VMIN], attributes[6][termios.VTIME] = 0, 0
        termios.tcsetattr(self.slave, termios.TCSANOW, attributes)
        found = b""
        while data := os.read(self.slave, 4096):
            found += data
        return found

    def settings_restored(self):
        return termios.tcgetattr(self.slave)[:4] == self.before[:4]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in (self.master, self.slave):
            try:
                os.close(fd)
            except OSError:
                pass


def lead(slave):
    os.setsid()
    fcntl.ioctl(os.open(slave, os.O_RDWR), termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
