"""ticker.py SOCKET: a stream of server-sent events, each the time it was written (CLOCK_MONOTONIC, ns), every 3 ms.

Plain HTTP on a unix socket; the site's nginx stands before it, as it does before everything else.
"""
import socket
import sys
import threading
import time

HEAD = (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n")


def serve(connection):
    try:
        asked = b""
        while b"\r\n\r\n" not in asked:
            more = connection.recv(4096)
            if not more:
                return
            asked += more
        connection.sendall(HEAD)
        while True:
            event = b"data: %d\n\n" % time.monotonic_ns()
            connection.sendall(b"%x\r\n%s\r\n" % (len(event), event))
            time.sleep(0.003)
    except OSError:
        pass
    finally:
        connection.close()


def main():
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen(64)
    while True:
        threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


main()
