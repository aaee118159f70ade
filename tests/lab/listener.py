"""A listening socket of the lab's, and what serves its connections."""
import socket
import threading


class Listener:
    """Each connection gets `serve(connection)` in a thread of its own, until close()."""

    def __init__(self, listener, serve):
        self._socket, self._serve = listener, serve
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def close(self):
        try:
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes accept()
        except OSError:
            pass
        self._socket.close()
