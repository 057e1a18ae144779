"""A load generator that counts every request: how many, which version and instance answered, what failed. It is a
process of its own, so that the tests' own work does not slow it down.

    python3 -m rig.prober URL CONNECTIONS RATE KEPT REPORT

It writes one JSON line for every pair of instance and version when it first answers, one for every failed request,
and one with the totals ten times a second; the last line is final. KEPT of the connections stay open from request to request,
the others are new for each: a reload can lose either kind.
"""

import asyncio
import json
import signal
import sys
import time
from collections import Counter

from . import host

TIMEOUT = 10
LATENCIES_MAX = 1_000_000


class Load:
    """A running load generator, from a test's side."""

    def __init__(self, lab, url, connections=8, rate=400, kept=None):
        """kept: how many of the connections (or whether all) stay open; half of them if not given."""
        kept = connections // 2 if kept is None else connections * kept if isinstance(kept, bool) else kept
        self._lab = lab
        self._report = lab.run.folder / f"load-{time.monotonic_ns()}.json"
        self._report.touch()
        command = [sys.executable, "-m", "rig.prober", url, connections, rate, kept, self._report]
        self._process = lab.run.spawn(command, self._report.stem, netns=lab.network.cloud,
                                      log=self._report.with_suffix(".log"), cwd=str(host.TOOL))

    def lines(self):
        text = self._report.read_text()
        return [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def first(self, instance=None, version=None):
        """When an instance (or a version) first answered: CLOCK_MONOTONIC, or None."""
        times = [line["at"] for line in self.lines() if line["kind"] == "first"
                 and instance in (None, line["instance"]) and version in (None, line["version"])]
        return min(times, default=None)

    def failures(self):
        return [line for line in self.lines() if line["kind"] == "failure"]

    def totals(self):
        """{"requests", "failed", "by": {"instance version": count}} so far, at the end also "p50", "p99" and "max" in
        milliseconds."""
        lines = [line for line in self.lines() if line["kind"] == "totals"]
        return lines[-1] if lines else {"requests": 0, "failed": 0, "by": {}}

    def wait_requests(self, count, timeout=20):
        """Lets `count` more requests pass."""
        before = self.totals()["requests"]
        host.wait_for(lambda: self.totals()["requests"] >= before + count, timeout, f"{count} requests")

    def stop(self):
        """Ends it after the requests under way and returns the totals."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(TIMEOUT + 10)
        return self.totals()


class _Prober:
    def __init__(self, url, rate, report):
        self.authority = url.removeprefix("http://").split("/")[0]
        self.path = "/" + "/".join(url.removeprefix("http://").split("/")[1:])
        self.rate = rate
        self.report = report
        self.running = True
        self.requests = self.failed = 0
        self.by = Counter()
        self.latencies = []
        self.next = time.monotonic()

    def write(self, **fields):
        self.report.write(json.dumps(fields) + "\n")
        self.report.flush()

    async def pace(self):
        """Requests are spread evenly; one that is late does not make the next ones late."""
        now = time.monotonic()
        self.next = max(self.next + 1 / self.rate, now - 0.1)
        if self.next > now:
            await asyncio.sleep(self.next - now)

    async def connect(self):
        name, _, port = self.authority.partition(":")
        return await asyncio.open_connection(name, int(port or 80))

    async def ask(self, streams, keep):
        reader, writer = streams
        end = "" if keep else "Connection: close\r\n"
        writer.write(f"GET {self.path} HTTP/1.1\r\nHost: {self.authority}\r\n{end}\r\n".encode())
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split()[1])
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in head[1:] if line)}
        if "content-length" in headers:
            await reader.readexactly(int(headers["content-length"]))
        else:
            await reader.read()
            keep = False
        return status, headers, keep and headers.get("connection", "").lower() != "close"

    def count(self, began, status, headers):
        self.requests += 1
        if len(self.latencies) < LATENCIES_MAX:
            self.latencies.append(time.monotonic() - began)
        instance, version = headers.get("x-instance", ""), headers.get("x-version", "")
        if status != 200:
            self.fail(began, f"status {status}", instance)
            return
        if not self.by[instance, version]:
            self.write(kind="first", at=time.monotonic(), instance=instance, version=version)
        self.by[instance, version] += 1

    def fail(self, began, why, instance=""):
        self.failed += 1
        self.write(kind="failure", at=time.monotonic(), after=time.monotonic() - began, why=why, instance=instance)

    async def work(self, keep):
        streams, fresh = None, True
        while self.running:
            await self.pace()
            began = time.monotonic()
            try:
                fresh = streams is None
                streams = streams or await asyncio.wait_for(self.connect(), TIMEOUT)
                status, headers, stays = await asyncio.wait_for(self.ask(streams, keep), TIMEOUT)
                self.count(began, status, headers)
            except asyncio.IncompleteReadError as error:
                stays = False
                # A kept connection may be closed between requests (RFC 9112, section 9.3): the client asks again.
                if fresh or error.partial:
                    self.requests += 1
                    self.fail(began, "the connection closed before the whole answer")
            except (OSError, asyncio.TimeoutError) as error:
                stays = False
                if fresh or not isinstance(error, ConnectionResetError | BrokenPipeError):
                    self.requests += 1
                    self.fail(began, repr(error))
            if not stays and streams:
                streams[1].close()
                streams = None
        if streams:
            streams[1].close()

    def totals(self, **more):
        by = {f"{instance} {version}": count for (instance, version), count in self.by.items()}
        self.write(kind="totals", at=time.monotonic(), requests=self.requests, failed=self.failed, by=by, **more)

    def percentiles(self):
        ordered = sorted(self.latencies)
        return {name: round(ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000, 2)
                for name, part in (("p50", 0.5), ("p99", 0.99), ("max", 1))} if ordered else {}

    async def tell(self):
        while self.running:
            await asyncio.sleep(0.1)
            self.totals()

    def end(self):
        self.running = False

    async def main(self, connections, kept):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.end)
        await asyncio.gather(self.tell(), *(self.work(n < kept) for n in range(connections)))
        self.totals(**self.percentiles())


if __name__ == "__main__":
    with open(sys.argv[5], "a") as output:
        asyncio.run(_Prober(sys.argv[1], int(sys.argv[3]), output).main(int(sys.argv[2]), int(sys.argv[4])))
