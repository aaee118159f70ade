"""Every packet that crosses from the host side to the internet side, for tests that say "nothing left"."""
import ipaddress
import socket
import threading
from collections import namedtuple

Packet = namedtuple("Packet", "protocol source target port payload")
PACKET_HOST, PACKET_OUTGOING = 0, 4
TCP, UDP, ICMP = 6, 17, 1


class Sniffer:
    def __init__(self, raw):
        self.packets = []
        self.lock = threading.Lock()
        self._socket = raw
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                frame, address = self._socket.recvfrom(65536)
            except OSError:
                return
            if address[0] != "s0" or address[2] == PACKET_OUTGOING:
                continue
            packet = parse(frame)
            if packet:
                with self.lock:
                    self.packets.append(packet)

    def clear(self):
        with self.lock:
            self.packets.clear()

    def seen(self, protocol=None, port=None, target=None, containing=None):
        with self.lock:
            return [p for p in self.packets
                    if (protocol is None or p.protocol == protocol) and (port is None or p.port == port)
                    and (target is None or p.target == target)
                    and (containing is None or containing in p.payload)]


def parse(frame):
    kind = int.from_bytes(frame[12:14], "big")
    if kind == 0x0800:
        head = (frame[14] & 15) * 4
        protocol, source, target = frame[23], frame[26:30], frame[30:34]
        body = frame[14 + head:]
    elif kind == 0x86DD:
        protocol, source, target, body = frame[20], frame[22:38], frame[38:54], frame[54:]
        if protocol == 58 and body[:1] in (b"\x85", b"\x86", b"\x87", b"\x88", b"\x8f"):
            return None  # neighbour discovery: the link talking to itself
        if protocol == 0:
            return None  # multicast listener reports, likewise
    else:
        return None
    port = int.from_bytes(body[2:4], "big") if protocol in (TCP, UDP, 132) else 0
    return Packet(protocol, str(ipaddress.ip_address(source)), str(ipaddress.ip_address(target)), port, bytes(body))
