"""A small threaded HTTP/1.1 server whose sockets stand in a network namespace. The lab's endpoints are made of it."""

import http.server
import socket
import socketserver
import ssl
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import parse_qsl, unquote

from . import host

MAX_BODY = 512 * 1024 * 1024


@dataclass
class Request:
    method: str
    target: str  # as sent: path and query
    headers: object  # email.message.Message: names without case
    body: bytes
    client: str
    secure: bool

    @property
    def raw_path(self):
        return self.target.split("?", 1)[0]

    @property
    def path(self):
        return unquote(self.raw_path)

    @property
    def raw_query(self):
        return self.target.partition("?")[2]

    @property
    def query(self):
        return dict(parse_qsl(self.raw_query, keep_blank_values=True))

    @property
    def form(self):
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass
class Response:
    status: int
    body: bytes = b""
    headers: list = field(default_factory=list)
    # How the answer is spoilt on its way: see faults.py.
    cut_after: int = None  # bytes of the body, then the connection is closed
    rate: int = None  # bytes a second
    reset: bool = False  # no answer at all, the connection is reset
    date: float = None  # the server's idea of the time


def text(status, body, content_type="text/plain", headers=()):
    return Response(status, body.encode(), [("Content-Type", content_type), *headers])


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120
    # Headers and body in one segment where they fit: Nagle and delayed acknowledgement would add 40 ms.
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def handle_expect_100(self):
        proceed = super().handle_expect_100()
        self.wfile.flush()
        return proceed

    def _body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(parts)
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            raise ValueError("body too long")
        return self.rfile.read(length)

    def _serve(self):
        body = self._body()
        request = Request(self.command, self.path, self.headers, body, self.client_address[0], self.server.secure)
        self._send(self.server.answer(request))

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = _serve

    def _send(self, response):
        if response.reset:
            self._reset()
            return
        names = {name.lower() for name, _ in response.headers}
        self.send_response_only(response.status)
        self.send_header("Date", formatdate(response.date or time.time(), usegmt=True))
        for name, value in response.headers:
            self.send_header(name, value)
        if "content-length" not in names and response.status not in (204, 304):
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        if self.command != "HEAD" and response.status not in (204, 304):
            self._send_body(response)
        if response.cut_after is not None:
            self.wfile.flush()
            self.close_connection = True

    def _send_body(self, response):
        body = response.body if response.cut_after is None else response.body[:response.cut_after]
        if response.rate is None:
            self.wfile.write(body)
            return
        step = max(1, response.rate // 20)
        for start in range(0, len(body), step):
            self.wfile.write(body[start:start + step])
            self.wfile.flush()
            time.sleep(step / response.rate)

    def _reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close_connection = True

    def handle(self):
        try:
            super().handle()
        except (ConnectionError, TimeoutError, ssl.SSLError, BrokenPipeError):
            pass  # the client went away, which is its right

    def finish(self):
        try:
            super().finish()
        except (ConnectionError, OSError):
            pass


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 512
    allow_reuse_address = True

    def __init__(self, address, answer, netns, tls):
        self.answer = answer
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.secure = tls is not None
        self._netns = netns
        self._tls = tls
        super().__init__(address, _Handler)

    def server_bind(self):  # HTTPServer's looks its own name up, which takes seconds without a name server
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def process_request_thread(self, request, client_address):
        host.enter_network(self._netns)  # what the handler connects to is reached from where it stands
        if self._tls:
            try:
                request.settimeout(30)
                request = self._tls.wrap_socket(request, server_side=True)
            except (OSError, ssl.SSLError):
                request.close()
                return
        super().process_request_thread(request, client_address)

    def shutdown_request(self, request):
        """Without the base class's shutdown(): with SO_LINGER 0 the close alone sends the reset."""
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)[0] == 0:
            try:
                request.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        self.close_request(request)

    def handle_error(self, request, client_address):
        import traceback
        traceback.print_exc()


class Server:
    """answer(Request) -> Response, called in a thread of each connection."""

    def __init__(self, netns, address, port, answer, tls=None):
        self._server = host.in_network(netns, _Server, (address, port), answer, netns, tls)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
