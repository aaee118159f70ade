"""A site that talks on: for tests of what ends a connection that is open."""
import time


class Streaming:
    """`serve` is the site; `ended[host]` is when a stream of that host broke off."""

    def setUp(self):
        super().setUp()
        self.ended = {}

    def serve(self, request):
        """/stream: a word every 50 ms for a minute. Everything else: one line."""
        if request.path.startswith("/stream"):
            def words():
                for n in range(1200):
                    yield f"word {n}\n"
                    time.sleep(0.05)
            try:
                request.stream("text/plain", words())
            except OSError:
                self.ended[request.host] = time.monotonic()
        else:
            request.text("arrived\n")
