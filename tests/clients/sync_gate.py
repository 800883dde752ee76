"""Proxy in front of a catalog, with which a test can act while a certain request waits."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# End-to-end headers, which are forwarded; all others concern only one connection.
HEADERS = ("accept", "authorization", "content-type", "idempotency-key", "x-iceberg-access-delegation", "if-none-match", "etag")


class SyncGate:
    """Forwards requests to the catalog at `target`, and counts table loads (GET) and commits (POST)."""

    def __init__(self, target):
        self.target = urlsplit(target)
        self.acts, self.counts, self.errors, self.lock = {}, {"GET": 0, "POST": 0}, [], threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self.server.server_address[1]}"

    def before(self, method, number, act):
        """Calls `act` before the request with this number, counted from one, is forwarded."""
        self.acts[method, number, "before"] = act

    def after(self, method, number, act):
        """Calls `act` before the response to this request is forwarded; `False` drops the response."""
        self.acts[method, number, "after"] = act

    def pending(self):
        """Returns the actions that were not carried out because the request was never sent."""
        return sorted(self.acts)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        if self.errors:
            raise self.errors[0]

    def act(self, method, number, when):
        act = self.acts.pop((method, number, when), None)
        if act is None:
            return True
        try:
            return act() is not False
        except BaseException as error:  # Raised by the test, not in the client.
            self.errors.append(error)
            return True

    def number(self, method, path):
        levels = urlsplit(path).path.split("/")
        is_transaction = levels[-2:] == ["transactions", "commit"]
        if method not in self.counts or not (levels[-2:-1] == ["tables"] or is_transaction):
            return None
        with self.lock:
            self.counts[method] += 1
            return self.counts[method]

    def handler(self):
        gate = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do(self):
                number = gate.number(self.command, self.path)
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                gate.act(self.command, number, "before")
                onward = http.client.HTTPConnection(gate.target.hostname, gate.target.port, timeout=60)
                headers = {name: value for name, value in self.headers.items() if name.lower() in HEADERS}
                onward.request(self.command, self.path, body or None, headers)
                answer = onward.getresponse()
                content = answer.read()
                onward.close()
                if not gate.act(self.command, number, "after"):
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() in HEADERS:
                        self.send_header(name, value)
                if answer.status not in (204, 304):
                    self.send_header("content-length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do

        return Handler
