"""A DNS server for tests: names to addresses, UDP and TCP, every question remembered."""
import ipaddress
import socket
import struct
import threading

A, AAAA = 1, 28


class Zone:
    """What the server answers. `names[name]` is a list of addresses, or a function that returns one."""

    def __init__(self):
        self.names = {}
        self.questions = []  # (name, type), as they came
        self.lock = threading.Lock()

    def add(self, name, *addresses):
        self.names[name.lower()] = list(addresses)

    def answer(self, name, kind):
        with self.lock:
            self.questions.append((name, kind))
        found = self.names.get(name.lower())
        if found is None:
            return None
        addresses = found() if callable(found) else found
        wanted = 4 if kind == A else 6
        return [a for a in map(ipaddress.ip_address, addresses)
                if kind in (A, AAAA) and a.version == wanted]

    def asked_about(self, part):
        with self.lock:
            return [name for name, _ in self.questions if part in name.lower()]


def read_name(packet, at):
    labels = []
    while packet[at]:
        length = packet[at]
        labels.append(packet[at + 1:at + 1 + length].decode("latin-1"))
        at += 1 + length
    return ".".join(labels), at + 1


def respond(zone, query):
    name, end = read_name(query, 12)
    (kind,) = struct.unpack_from("!H", query, end)
    addresses = zone.answer(name, kind)
    code = 3 if addresses is None else 0
    flags = 0x8180 | code
    question = query[12:end + 4]
    reply = struct.pack("!2sHHHHH", query[:2], flags, 1, len(addresses or []), 0, 0) + question
    for address in addresses or []:
        reply += struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(address.packed)) + address.packed
    return reply


def serve_udp(zone, listener):
    while True:
        try:
            query, peer = listener.recvfrom(4096)
        except OSError:
            return
        try:
            listener.sendto(respond(zone, query), peer)
        except (OSError, IndexError, struct.error):
            pass


def serve_tcp(zone, listener):
    def one(connection):
        with connection:
            connection.settimeout(5)
            stream = connection.makefile("rwb")
            try:
                while head := stream.read(2):
                    reply = respond(zone, stream.read(struct.unpack("!H", head)[0]))
                    stream.write(struct.pack("!H", len(reply)) + reply)
                    stream.flush()
            except (OSError, IndexError, struct.error):
                pass

    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=one, args=(connection,), daemon=True).start()


def start(zone, udp, tcp):
    threading.Thread(target=serve_udp, args=(zone, udp), daemon=True).start()
    threading.Thread(target=serve_tcp, args=(zone, tcp), daemon=True).start()
