"""A terminal that feels native: resize, Ctrl-C, Ctrl-Z and fg, big output, full-screen programs; X31."""
import hashlib
import os
import shutil
import time

from support import Case, case, victim
from support.terminal import Terminal


class Terminals(Case):
    def open(self, argv, policy="", options=(), rows=24, columns=80):
        command = self.lab.command(self.bulkhead_command(argv, policy, options), guard=False)
        return self.opened(command, rows, columns)

    def opened(self, command, rows=24, columns=80):
        terminal = Terminal(command, self.environment(), self.work, rows, columns)
        self.addCleanup(terminal.close)
        return terminal

    def test_it_is_a_terminal_of_its_own(self):
        terminal = self.open(["/bin/sh", "-c", "tty; test -t 0 && test -t 1 && test -t 2 && echo all three; stty size"],
                             rows=33, columns=111)
        terminal.expect(r"/dev/pts/\d+\r\nall three\r\n33 111\r\n")
        self.assertEqual(terminal.wait(), 0)
        self.assertTrue(terminal.settings_restored())

    def test_resize(self):
        terminal = self.open(["/bin/bash", "-c", "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.1; done"])
        terminal.expect("ready")
        terminal.resize(50, 132)
        terminal.process.send_signal(28)
        terminal.expect("50 132")
        self.assertEqual(terminal.wait(), 0)

    def test_control_c_reaches_the_program_inside(self):
        terminal = self.open(["/bin/bash", "-c", "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.1; done"])
        terminal.expect("ready")
        terminal.type("\x03")
        terminal.expect("interrupted")
        self.assertEqual(terminal.wait(), 3)
        self.assertTrue(terminal.settings_restored())

    def test_control_c_ends_a_program_that_does_not_care(self):
        terminal = self.open(["/bin/sleep", "60"])
        terminal.pump(1.5)
        terminal.type("\x03")
        self.assertEqual(terminal.wait(), 130)

    def test_an_interactive_shell(self):
        terminal = self.open(["/bin/bash", "--norc", "-i"])
        terminal.expect(r"\$ ")
        terminal.type("echo $((6*7)); sleep 50\n")
        terminal.expect("42\r\n")
        time.sleep(0.3)
        terminal.type("\x1a")  # job control of the shell inside
        terminal.expect("Stopped")
        # Until it is reaped it counts as a stopped job, and `exit` would ask.
        terminal.type("jobs; kill -9 %1; wait; jobs; echo do''ne\n")
        terminal.expect("done\r\n")
        terminal.type("exit 5\n")
        self.assertEqual(terminal.wait(), 5)

    def test_control_z_stops_the_job_and_fg_continues(self):
        shell = self.opened(["/bin/bash", "--norc", "-i"])
        shell.type("PS1='out''er> '\n")
        shell.expect("outer> ")
        words = " ".join(f"'{word}'" for word in self.lab.command(self.bulkhead_command(
            ["/bin/bash", "-c", "echo ready; n=0; while read -r line; do echo got $line; done"], ""), guard=False))
        self.write(os.path.join(self.tmp, "start.sh"), f"exec {words}\n")
        shell.type(f"bash {self.tmp}/start.sh\n")
        shell.expect("ready\r\n")
        shell.type("one\n")
        shell.expect("got one")
        shell.type("\x1a")
        shell.expect("Stopped")
        shell.expect("outer> ")
        shell.type("echo out$((1+1))side\n")
        shell.expect("out2side")
        shell.type("fg\n")
        time.sleep(0.5)
        shell.type("two\n")
        shell.expect("got two")
        shell.type("\x04")
        shell.expect("outer> ")
        shell.type("exit\n")
        shell.wait()

    def test_big_output_is_complete(self):
        """30 MB through the pty, every line of it."""
        terminal = self.open(["/usr/bin/python3", "-c", "for i in range(600000): print('%06d' % i, 'x' * 40)"])
        seen, rest, end = 0, b"", time.monotonic() + 90
        while time.monotonic() < end:
            came = terminal.pump(0.5)
            terminal.shown = b""
            if not came and terminal.process.poll() is not None:
                break
            *lines, rest = (rest + came).split(b"\r\n")
            for line in lines:
                if line[:6].isdigit() and line[6:7] == b" ":
                    self.assertEqual(int(line[:6]), seen)
                    seen += 1
        self.assertEqual(seen, 600000)
        self.assertEqual(terminal.process.returncode, 0)

    def test_output_is_read_to_its_end(self):
        for _ in range(10):
            terminal = self.open(["/bin/sh", "-c", "seq 1 5000; echo the very end"], options=["--quiet"])
            self.assertEqual(terminal.wait(), 0)
            terminal.pump(0.2)
            self.assertIn(b"\r\n5000\r\nthe very end\r\n", terminal.shown)
            terminal.close()

    def test_long_input(self):
        terminal = self.open(["/bin/sh", "-c", "stty -echo -icanon; echo ready; head -c 60000 | sha256sum"])
        terminal.expect("ready\r\n")
        data = ("0123456789abcde\n" * 3750).encode()
        for at in range(0, len(data), 1000):
            terminal.type(data[at:at + 1000])
            terminal.pump(0.002)
        terminal.expect(hashlib.sha256(data).hexdigest(), 20)

    def test_full_screen_programs(self):
        self.write(os.path.join(self.work, "notes.txt"), "".join(f"line {n}\n" for n in range(1, 400)))
        tried = 0
        if shutil.which("vim"):
            tried += 1
            vim = self.open(["vim", "-u", "NONE", "-n", "notes.txt"])
            vim.expect("line 1")
            vim.type("Goadded at the end\x1b:wq\r")
            self.assertEqual(vim.wait(), 0)
            self.assertTrue(self.read(os.path.join(self.work, "notes.txt")).endswith("added at the end\n"))
            self.assertTrue(vim.settings_restored())
        if shutil.which("less"):
            tried += 1
            less = self.open(["less", "notes.txt"])
            less.expect("line 10")
            less.type("/line 222\r")
            less.expect("line 222")
            less.type("q")
            self.assertEqual(less.wait(), 0)
        if shutil.which("top"):
            tried += 1
            top = self.open(["top", "-d", "0.5"])
            top.expect("PID")
            top.type("q")
            self.assertEqual(top.wait(), 0)
        if not tried:
            self.skipTest("none of vim, less and top is installed")

    def test_pipes_when_only_some_are_terminals(self):
        command = self.lab.command(self.bulkhead_command(["/bin/sh", "-c", "test -t 0 && echo in; test -t 1 || echo piped; "
                                                          "test -t 2 && echo err >&2"], "", ["--quiet"]), guard=False)
        self.write("pipe.sh", "exec " + " ".join(f"'{w}'" for w in command) + "\n")
        terminal = self.opened(["/bin/bash", "-c", f"bash {self.tmp}/pipe.sh | tr a-z A-Z"])
        terminal.wait()
        terminal.pump(0.2)
        # The pipe and the terminal are two ways out: what came through one may stand between the other's lines.
        self.assertIn(b"err\r\n", terminal.shown)
        self.assertIn(b"IN\r\nPIPED\r\n", terminal.shown.replace(b"err\r\n", b""))

    # X31 ------------------------------------------------------------------------------------------------------

    def escapes(self, arm, how):
        shutil.copy(victim("escapes"), self.work)
        argv = ["./escapes", how]
        command = (self.lab.command(argv) if arm == "off"
                   else self.lab.command(self.bulkhead_command(argv, "", ["--quiet"]), guard=False))
        terminal = self.opened(command)
        terminal.wait()
        terminal.pump(0.3)
        return terminal.shown

    def test_X31_off(self):
        self.assertIn(b"\x1b[c", self.escapes("off", "answer"))
        self.assertIn(b"\x1b]52;", self.escapes("off", "clipboard"))
        self.assertIn(b"\x1b]52;", self.escapes("off", "split"))

    def test_X31_clipboard_on(self):
        for how in ("clipboard", "split", "both"):
            shown = self.escapes("on", how)
            self.assertNotIn(b"]52;", shown, how)
            self.assertNotIn(b"cGxhbnR", shown, how)

    def test_X31_answers_after_the_end_on(self):
        """A terminal that answers queries late: nothing of it is left for the user's shell to read."""
        shutil.copy(victim("escapes"), self.work)
        shell = self.opened(["/bin/bash", "--norc", "-i"])
        shell.type("PS1='out''er> '; stty -echo\n")
        shell.expect("outer> ")
        command = self.lab.command(self.bulkhead_command(["./escapes", "answer"], "", ["--quiet"]), guard=False)
        self.write("late.sh", "exec " + " ".join(f"'{w}'" for w in command) + "\n")
        shell.type(f"bash {self.tmp}/late.sh\n")
        # Answers as a terminal would, as long as the session is there to have asked.
        end = time.monotonic() + 15
        answered = 0
        while b"outer> " not in shell.shown and time.monotonic() < end:
            came = shell.pump(0.05)
            for query, answer in ((b"\x1b[c", b"\x1b[?62;c"), (b"\x1b[6n", b"\x1b[1;1R"), (b"]10;?", b"\x1b]10;rgb:0/0/0\x07"),
                                  (b"\x1b[5n", b"\x1b[0n")):
                if query in came:
                    answered += 1
                    shell.type(answer)
        shell.pump(0.5)
        self.assertIn(b"outer> ", shell.shown)
        after = shell.shown.split(b"outer> ", 1)[1]
        self.assertNotIn(b"62;c", after)
        self.assertNotIn(b"command not found", after)
        shell.type("echo in$((1+1))tact\n")
        shell.expect("in2tact")
