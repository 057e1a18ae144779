"""The endpoint that instances and operators talk to: it checks signatures, injects faults, logs every request, hands
Auto Scaling to the director and everything else to moto."""

import http.client
import re
import threading
import time
from dataclasses import dataclass

from . import sigv4
from .errors import error_response, service_of
from .web import Response

# Hop by hop (RFC 9110, section 7.6.1), and what our own server sets.
_NOT_FORWARDED = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "date", "server"}
_ENDPOINT = re.compile(r"(?:^|\.)s3[.-]([a-z0-9-]+)\.amazonaws\.com(?::\d+)?$")


@dataclass
class Entry:
    """One request, as the log keeps it."""
    at: float  # CLOCK_MONOTONIC
    client: str
    identity: str
    service: str
    method: str
    target: str
    action: str  # of the query and JSON protocols
    status: int
    sent: int  # bytes of the answer's body
    fault: bool
    range: str = None


class Fault:
    """A fault that is in force from its making to remove(), to the end of its with block, or `times` requests long."""

    def __init__(self, proxy, act, times, match):
        self.act, self.left, self.match = act, times, match
        self.hits = 0
        self._proxy = proxy

    def remove(self):
        self._proxy.remove_fault(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    def takes(self, request, service, action):
        wanted = self.match
        return (self.left is None or self.left > 0) \
            and wanted.get("service") in (None, service) \
            and wanted.get("method") in (None, request.method) \
            and wanted.get("action") in (None, action) \
            and wanted.get("client") in (None, request.client) \
            and (wanted.get("path") is None or re.search(wanted["path"], request.path))


def action_of(request):
    target = request.headers.get("X-Amz-Target")
    if target:
        return target.rsplit(".", 1)[-1]
    if request.method == "POST" and "x-www-form-urlencoded" in request.headers.get("Content-Type", ""):
        return request.form.get("Action", "")
    return ""


class Proxy:
    def __init__(self, moto_port, region):
        self.region = region
        self.keys = {}  # access key -> sigv4.Key
        self.clock_offset = 0.0  # the cloud's clock against ours, in seconds
        self.bucket_regions = {}  # buckets that live elsewhere
        self.local = {}  # service -> answer(request) for what moto does not do
        self.log = []
        self._moto_port = moto_port
        self._faults = []
        self._lock = threading.Lock()
        self._writing = threading.Lock()

    def now(self):
        return time.time() + self.clock_offset

    def fault(self, act, times=None, **match):
        """Puts a fault in (see Fault); match: service, method, action, client, path (a regular expression over the decoded
        path). Of several that match a request the oldest acts."""
        fault = Fault(self, act, times, match)
        with self._lock:
            self._faults.append(fault)
        return fault

    def remove_fault(self, fault):
        with self._lock:
            if fault in self._faults:
                self._faults.remove(fault)

    def reset(self):
        """No faults, an empty log, a clock that is right, every bucket here."""
        with self._lock:
            self._faults.clear()
        self.clock_offset = 0.0
        self.log.clear()
        self.bucket_regions.clear()

    def requests(self, **match):
        """The log's entries whose fields are as given (path: a regular expression over the target)."""
        path = match.pop("path", None)
        return [e for e in list(self.log) if all(getattr(e, k) == v for k, v in match.items())
                and (path is None or re.search(path, e.target))]

    def answer(self, request):
        at = time.monotonic()
        service, action = service_of(request), action_of(request)
        fault = self._take_fault(request, service, action)
        key = None
        try:
            key = self._authorize(request, service, action)
            response = fault.act(request, self._forward) if fault else self._forward(request)
        except sigv4.Refused as refused:
            response = error_response(request, refused.status, refused.code, refused.message, **refused.extra)
        response.date = self.now()
        self.log.append(Entry(at, request.client, key.identity if key else None, service, request.method,
                              request.target, action, response.status, len(response.body), fault is not None,
                              request.headers.get("Range")))
        return response

    def _take_fault(self, request, service, action):
        with self._lock:
            for fault in self._faults:
                if fault.takes(request, service, action):
                    fault.hits += 1
                    if fault.left is not None:
                        fault.left -= 1
                    return fault
        return None

    def _authorize(self, request, service, action):
        if action == "AssumeRoleWithWebIdentity":
            return None
        region = self.region
        if service == "s3":
            named = _ENDPOINT.search(request.headers.get("Host", ""))
            region = named.group(1) if named else self.region
        key = sigv4.check(request, self.keys, self.now(), region)
        if service == "s3":
            self._check_bucket_region(request, region)
        return key

    def _check_bucket_region(self, request, region):
        host = request.headers.get("Host", "")
        bucket = host.split(".s3.")[0] if ".s3." in host else request.path.lstrip("/").split("/")[0]
        home = self.bucket_regions.get(bucket, region)
        if home != region:
            raise sigv4.Refused(301, "PermanentRedirect", "The bucket you are attempting to access must be addressed "
                                "using the specified endpoint. Please send all future requests to this endpoint.",
                                Endpoint=f"{bucket}.s3.{home}.amazonaws.com", Bucket=bucket, Region=home)

    def _forward(self, request):
        local = self.local.get(service_of(request))
        if local:
            return local(request)
        if request.method == "PUT" and service_of(request) == "s3":
            with self._writing:  # moto looks at the condition and writes, and another may come between; not so in S3
                return self._send(request)
        return self._send(request)

    def _send(self, request):
        connection = http.client.HTTPConnection("127.0.0.1", self._moto_port, timeout=60)
        try:
            connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name.lower() not in (*_NOT_FORWARDED, "content-length", "expect"):
                    connection.putheader(name, value.encode("latin-1", "replace"))
            connection.putheader("Content-Length", str(len(request.body)))
            connection.endheaders(request.body)
            answer = connection.getresponse()
            headers = [(n, v) for n, v in answer.getheaders() if n.lower() not in _NOT_FORWARDED]
            body = answer.read()
            if request.method != "HEAD":
                headers = [(n, v) for n, v in headers if n.lower() != "content-length"]
            return Response(answer.status, body, headers)
        finally:
            connection.close()
