"""Front can't be turned: a front with a memory-corruption bug (tests/turned/) is taken over from inside, and then has
no secret, no file, no network and no program within reach; what it asks of egress is judged again there.

The same front without its confinement shows that each attempt is a real one."""
import os
import re
import shutil

from support import Case
from support.case import BUILD, ROOT, bin_folder

HOST, EVIL, SECRET = "api.example.com", "evil.example.net", "real-key-turned-4e1b9c07"

# Sends the overflow: finds out where to, then overwrites the pointer.
ATTACK = """
import sys, urllib.request, urllib.error
def ask(value):
    request = urllib.request.Request('https://api.example.com/v1', headers={'x-corrupt': value, 'accept': 'text/plain'})
    try: return urllib.request.urlopen(request, timeout=50).read().decode()
    except urllib.error.HTTPError as error: return error.read().decode()
offset, address = (int(n) for n in ask('where').split('Bulkhead: ')[-1].split()[:2])
words = sys.argv[1].encode()
print(ask((words.ljust(offset, b'\\0') + address.to_bytes(8, 'little')).hex()))
"""

# A system call that the filter does not know ends the process.
KILLED = ("inet", "unix", "netlink", "connect", "exec", "code", "ptrace", "peek", "signal", "ring", "unshare", "memfd",
          "truncate")


class Turned(Case):
    def arm(self, confined):
        """Bulkhead with that front in place of its own."""
        folder = os.path.join(self.tmp, "tree/build/x/bin")
        shutil.rmtree(os.path.join(self.tmp, "tree"), ignore_errors=True)
        shutil.copytree(bin_folder(), folder)
        shutil.copy(os.path.join(BUILD, "turned/bulkhead-front-" + ("corruptible" if confined else "unconfined")),
                    os.path.join(folder, "bulkhead-front"))
        for name in ("profiles", "presets"):
            os.mkdir(os.path.join(self.tmp, "tree", name))
        for name in ("control", "secrets"):
            shutil.copytree(os.path.join(ROOT, name), os.path.join(self.tmp, "tree", name))
        return os.path.join(folder, "bulkhead")

    def turn(self, words, confined=True):
        self.lab.web.site(HOST, lambda request: request.text("hello\n"))
        self.lab.web.site(EVIL, lambda request: request.text("welcome\n"))
        self.lab.web.forget()
        policy = self.credential() + self.grant(HOST, credential="api", path="/v1")
        self.program = self.arm(confined)
        return self.inside(["/usr/bin/python3", "-c", ATTACK, words], policy, env={"API_KEY": SECRET})

    def test_no_file(self):
        for path in ("/", "/etc/passwd", "/proc/self/environ", "/proc/self/exe", "/dev/null", self.home, "."):
            with self.subTest(path=path):
                self.assertIn("open: Permission denied", self.turn("open " + path).out)
        self.assertIn("getdents64: Permission denied", self.turn("list").out)
        self.assertIn("open: it worked", self.turn("open /etc/passwd", confined=False).out)

    def test_no_secret(self):
        """The whole of its memory, searched from within."""
        result = self.turn("search " + SECRET[::-1])
        self.assertRegex(result.out, r"searched [0-9]{3,} pages, found it 0 times", result)
        # That the search finds what is there: the session's own CA, which front has to hold.
        result = self.turn("search " + "Bulkhead session"[::-1])
        found = re.search(r"found it (\d+) times", result.out)
        self.assertGreater(int(found.group(1)), 0, result)

    def test_no_network_no_program_no_other_process(self):
        for name in KILLED:
            with self.subTest(attempt=name):
                result = self.turn(name)
                self.assertNotIn("it worked", result.out, result)
                self.assertEqual(result.status, 125, result)
                self.assertIn("front", result.err)
        for name in ("inet", "unix", "exec", "list", "code", "memfd", "unshare"):
            with self.subTest(attempt=name, arm="unconfined"):
                self.assertIn("it worked", self.turn(name, confined=False).out)

    def test_egress_judges_again(self):
        """Taken over, it still can't have sent what no grant allows: another host, another path, another grant."""
        for words, reason in ((f"1 {EVIL} 443 /v1", "no-grant"), (f"1 {HOST} 443 /v2", "path"), (f"7 {HOST} 443 /v1", "grant"),
                              (f"1 {HOST} 8443 /v1", "no-grant"), (f"1 {HOST} 443 /v1/../v2", "non-canonical")):
            with self.subTest(words=words):
                result = self.turn("egress " + words)
                self.assertIn("refused: " + reason, result.out, result)
                self.assertNotIn("answered", result.out)
                self.assertEqual(self.lab.web.received(), [])
        # What is granted it gets, which shows that the way is a real one.
        result = self.turn(f"egress 1 {HOST} 443 /v1")
        self.assertIn("answered", result.out, result)
