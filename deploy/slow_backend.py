"""A slow backend, to try the Compose file on: `GET /slow/5` is answered after five seconds, and all else at once."""

import re
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

PORT: Final = 8000
SLOW: Final = re.compile(r"/slow/(\d{1,3})")


class SlowHandler(BaseHTTPRequestHandler):
    """Says what it was asked for, and takes its time."""

    def do_GET(self) -> None:  # the name that the standard library looks for
        if slow := SLOW.fullmatch(self.path):
            time.sleep(int(slow[1]))
        body = f"The answer to {self.path}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("", PORT), SlowHandler).serve_forever()
