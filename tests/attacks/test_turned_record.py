"""A virtual machine whose root lies in the record of what runs in it (tests/turned/init_main.cc, descriptor 8): it spoils
its own session and nothing else."""
import json
import os
import struct

from attacks import test_turned_machine


def frame(kind, *fields, unsent=0):
    """As guest/record.h has it."""
    body = kind + struct.pack("<I", unsent)
    for field in fields:
        body += struct.pack("<I", field) if isinstance(field, int) else field
    return struct.pack("<I", len(body)) + body


def text(value):
    return struct.pack("<I", len(value)) + value


HELLO = frame(b"H", 2)


def executed(pid, path, *words):
    return frame(b"X", pid, pid, text(path), b"\0", len(words), *[text(word) for word in words])


class TurnedRecord(test_turned_machine.TurnedMachine):
    # Those of the machine itself are run there.
    test_X26_modes_hold_against_root_of_the_machine = None
    test_X26_originals_are_kept_from_root_of_the_machine = None
    test_U01_root_of_the_machine_is_in_the_room = None
    test_X25_hostile_bytes_on_the_port = None

    def say(self, data, then="", command="true"):
        """Root says `data` where the machine's record is said."""
        with open(self.write("work/said", ""), "wb") as file:
            file.write(data)
        result = self.take_over(f"cat said >&8\n{then}\necho end\n", command=command)
        self.assertIn(self.said, ("", "end\n"), result)
        return result

    def test_X25_nonsense_in_the_record(self):
        """Each ends its session with a reason, and no other."""
        bystander = self.start_inside(["/bin/sh", "-c", "echo up > up-too; sleep 600"], options=["--tier", "native"])
        self.wait_for_file("up-too")
        for name, data in {
            "no frame": b"GET / HTTP/1.1\r\n\r\n",
            "a frame that is larger than it may be": HELLO + b"\xff\xff\xff\x7f" + bytes(100_000),
            "a text that is longer than its frame": HELLO + frame(b"X", 1, 1, 0xfffffff0),
            "processes that no kernel has": HELLO + frame(b"F", 1, 1, 0),
            "more after its end": HELLO + frame(b"D") + frame(b"R", 1, 1),
            "words without end": HELLO + executed(1, b"/x", *[b"a" * 60] * 200),
            "its greeting again, and again": HELLO * 3,
        }.items():
            with self.subTest(name):
                result = self.say(data)
                self.assertEqual(result.status, 125, result)
                self.assertRegex(result.err, "makes no sense")
                self.assertEqual([e["reason"][:5] for e in self.recorded("session.end")[-1:]], ["trace"])
        self.assertIsNone(bystander.poll())
        bystander.terminate()

    def test_X25_a_flood_and_lies_in_the_record(self):
        """Its lies are recorded as a machine's; they fill no disk, and no line of the record is theirs to shape."""
        lies = b"".join((
            executed(7, b"/bin/\x1b]52;c;eA==\x07\n{\"type\":\"session.end\"}", b"\xff\xfe", b"\"}\n{", b"\x00"[:0]),
            frame(b"C", 7, 7, bytes([108]) + b"\1\0\0" + b"\x1b[2J" * 26 + b"\0"),
        ))
        flood = executed(8, b"/bin/" + b"f" * 4000, b"\x01" * 1024, b"\x01" * 1024, b"\x01" * 1024, b"\x01" * 1000) * 8000
        # The machine's own recorder greets after that, which makes no sense. The command waits until that was read.
        result = self.say(HELLO + lies + flood, command="sleep 100")
        self.assertEqual(result.status, 125, result)
        self.assertNotIn("\x1b", result.err)
        size = 0
        for path in self.state_files():
            if not path.endswith(".jsonl"):
                continue
            raw = self.read(path)
            size += len(raw)
            self.assertNotIn("\x1b", raw)
            for line in raw.splitlines():
                event = json.loads(line)
                self.assertEqual(event["source"] == "trace", event.get("seen_by") == "machine", line[:300])
        self.assertLess(size, 40_000_000)
        self.assertEqual(len(self.recorded("session.end")), 1)
        self.assertIn("\x1b]52", self.recorded("process.exec")[0]["path"])
        self.assertGreater(sum(e["exec"] for e in self.recorded("process.omitted")), 3000)

    def test_X39_what_the_machine_is_silent_about_the_host_sees(self):
        """What root of the machine does itself no recorder of the machine's tells of."""
        os.chmod(self.write("work/unsaid", "as it was\n"), 0o666)
        self.ok(self.take_over("echo x > unsaid; mv unsaid moved; echo end\n"))
        self.assertIn("end\n", self.said)
        self.assertEqual(self.read("work/moved"), "x\n")
        self.assertNotIn("unsaid", " ".join(e["path"] for e in self.recorded("file.open")))
        changed = {e["path"]: e for e in self.recorded("file.changed")}
        self.assertIn("write", changed["unsaid"]["how"])
        self.assertEqual((changed["moved"]["from"], changed["moved"]["source"]), ("unsaid", "changes"))

    def test_X39_root_of_the_machine_ends_the_recorder(self):
        """Then nothing more runs in it."""
        os.chmod(self.write("work/killed", ""), 0o666)
        result = self.take_over("""
(until p=$(grep -l '^Name:.bulkhead-record' /proc/[0-9]*/status); do :; done
 p=${p#/proc/}; kill -9 ${p%/status} && echo x > killed) </dev/null >/dev/null 2>&1 8>&- 9>&- &
echo end
""", command="until [ -s killed ]; do :; done; /bin/true")
        self.assertIn("end\n", self.said)
        self.assertEqual(result.status, 125, result)
        self.assertEqual(len(self.recorded("session.end")), 1)

