"""The desktop's keyring (Secret Service): a real gnome-keyring on a bus of the test's own. A secret of it is put in on the
host's side; the keyring itself is never inside."""
import shutil

from support import Case
from support.tiers import on_tier

HOST = "api.example.com"
KEY = "real-key-of-the-keyring-3f"
OTHER = "another-one-of-the-keyring-9c"

# Unlocked by its password, as a login does it.
KEYRING = f"""
printf password | gnome-keyring-daemon --unlock --components=secrets > /dev/null || exit 1
printf {KEY} | secret-tool store --label=used service test || exit 1
printf {OTHER} | secret-tool store --label=other service other || exit 1
printf %s "$DBUS_SESSION_BUS_ADDRESS" > bus.new && mv bus.new bus
exec sleep 600
"""


class Keyring(Case):
    def setUp(self):
        super().setUp()
        for program in ("gnome-keyring-daemon", "dbus-run-session", "secret-tool"):
            if not shutil.which(program):
                self.skipTest(f"{program} is not installed: ./dev packages")
        self.lab.web.site(HOST, lambda request: request.text("arrived\n"))
        # The first process of a pid namespace, so that the keyring, which goes its own way, ends with it.
        self.bus = self.start_outside(["unshare", "--user", "--map-current-user", "--pid", "--fork", "--kill-child", "--",
                                       "dbus-run-session", "--", "/bin/sh", "-c", KEYRING])
        self.addCleanup(self.end_bus)
        self.address = self.wait_for_file("bus", 30)

    def end_bus(self):
        self.bus.kill()
        self.bus.communicate()

    def policy_for(self, service):
        return (f'[credential.api]\nsource = "secret-service:service={service}"\nexpose = {{ env = "API_KEY" }}\n'
                f'carry = {{ header = "x-api-key" }}\n') + self.grant(HOST, credential="api")

    def run_with(self, script, service="test", options=()):
        return self.inside(["/bin/sh", "-c", script], self.policy_for(service), options,
                           env={"DBUS_SESSION_BUS_ADDRESS": self.address})

    def test_X21_its_secret_is_used_and_the_keyring_is_not_there(self):
        script = (f'curl -sS -o /dev/null -w "%{{http_code}}\\n" -H "x-api-key: $API_KEY" https://{HOST}/v1; '
                  'echo "bus=$DBUS_SESSION_BUS_ADDRESS"; for service in test other; do '
                  f'DBUS_SESSION_BUS_ADDRESS="{self.address}" timeout 20 secret-tool lookup service $service; echo "lookup $?"; done; '
                  'ls "$XDG_RUNTIME_DIR" /run/user/* /tmp 2>/dev/null; env; cat ~/.local/share/keyrings/*')
        # What the attack finds where nothing is in the way.
        outside = self.outside(["secret-tool", "lookup", "service", "other"], env={"DBUS_SESSION_BUS_ADDRESS": self.address})
        self.assertEqual(outside.out, OTHER, outside)
        done = self.run_with(script)
        self.assertTrue(done.out.startswith("200\nbus=\nlookup 1\nlookup 1\n"), done)
        self.assertEqual(self.lab.web.received(HOST)[-1].headers["x-api-key"], KEY)
        for secret in (KEY, OTHER):
            self.assertNotIn(secret, done.out + done.err)

    def test_what_it_has_not_and_a_bus_that_is_gone(self):
        done = self.run_with("echo ran", service="none")
        self.assertEqual((done.status, done.out), (125, ""), done)
        self.assertIn("api", done.err)
        self.end_bus()
        done = self.run_with("echo ran")
        self.assertEqual((done.status, done.out), (125, ""), done)
        self.assertIn("secret-tool", done.err)


Machine = on_tier("vm", Keyring, ["test_X21_its_secret_is_used_and_the_keyring_is_not_there"])
Machine.__module__ = __name__
