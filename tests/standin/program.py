"""A stand-in that is a program of its own, on a socket of the lab's internet side."""
import json
import socket
import subprocess
import threading


class Program:
    """Runs `argv` with {} standing for the socket's descriptor. `seen` is what it printed, JSON line by line."""

    def __init__(self, test, host, port, argv):
        test.lab.zone.add(host, test.lab.new_address())
        listener = test.lab.internet_socket(socket.AF_INET, socket.SOCK_STREAM, ("0.0.0.0", port), 256)
        self.process = subprocess.Popen([str(listener.fileno()) if word == "{}" else word for word in argv],
                                        pass_fds=(listener.fileno(),), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        listener.close()
        self.seen = []
        self.reader = threading.Thread(target=self.collect, daemon=True)
        self.reader.start()

    def collect(self):
        for line in self.process.stdout:
            self.seen.append(json.loads(line))

    def close(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdin.close()
        self.process.stdout.close()
