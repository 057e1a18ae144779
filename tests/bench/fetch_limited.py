#!/usr/bin/env python3
"""How fast artifacts/fetch is where every connection is limited, as those to S3 are, relative to a single curl.

A server of this script gives each connection a token bucket (90 MB/s) and each answer a delay (30 ms to its first byte),
which are assumptions about S3, not measurements of it. curl and fetch take turns, A B A B; the medians count.

    tests/bench/fetch_limited.py [--driver build/gcc/depot-driver] [--rounds 5] [--size MB] [--unlimited] [--json FILE]

--unlimited takes the limits away: what the ranges cost where nothing is gained by them.
Exit status 1 if a goal is missed (limited, 60 MB: at most 0.35 of curl's time, under 64 MiB of memory)."""

import argparse
import hashlib
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

TOP = Path(__file__).resolve().parents[2]
MB = 1_000_000
MIB = 1 << 20
CHUNK = MIB
TICK = 0.003  # seconds of the rate that are sent at a time
GOAL_RATIO = 0.35
GOAL_MEMORY = 64 * MIB
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_REGION": "eu-central-1",
               "AWS_EC2_METADATA_DISABLED": "true", "PATH": os.environ["PATH"]}


class Server:
    """HTTP/1.1 with ranges and kept connections, of one file, a thread for each connection."""

    def __init__(self, file, size, rate, delay):
        self.file, self.size, self.rate, self.delay = file, size, rate, delay
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with connection, open(self.file, "rb") as content:
                while request := self._read_head(connection):
                    self._answer(connection, content.fileno(), request)
        except OSError:
            pass  # the other side has gone

    @staticmethod
    def _read_head(connection):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(65536)
            if not piece:
                return None
            head += piece
        return head.decode("latin-1")

    def _answer(self, connection, content, request):
        asked = re.search(r"^range: bytes=(\d+)-(\d+)", request, re.I | re.M)
        first, last = (int(asked[1]), min(int(asked[2]), self.size - 1)) if asked else (0, self.size - 1)
        head = (f"HTTP/1.1 {'206 Partial Content' if asked else '200 OK'}\r\nETag: \"1\"\r\n"
                f"Content-Length: {last + 1 - first}\r\n")
        if asked:
            head += f"Content-Range: bytes {first}-{last}/{self.size}\r\n"
        time.sleep(self.delay)
        connection.sendall(head.encode() + b"\r\n")
        self._send(connection, content, first, last + 1)

    def _send(self, connection, content, position, end):
        """A tick's worth at a time. The bucket never holds more than two of them: who was slow does not catch up."""
        tick = self.rate * TICK
        credit, filled = tick, time.monotonic()
        while position < end:
            allowed = end - position
            if self.rate:
                now = time.monotonic()
                credit, filled = min(credit + (now - filled) * self.rate, 2 * tick), now
                if credit < min(allowed, tick):
                    time.sleep(TICK / 2)
                    continue
                allowed = min(allowed, int(credit))
            n = os.sendfile(connection.fileno(), content, position, min(allowed, 4 * MIB))
            position, credit = position + n, credit - n


def describe(content, folder):
    """What a signed release would say of it, as depot-driver reads it."""
    digests = [hashlib.sha256(content[i:i + CHUNK]).hexdigest() for i in range(0, len(content), CHUNK)]
    file = folder / "description"
    file.write_text(f"{len(content)} {CHUNK} -\n" + "\n".join(digests) + "\n")
    return file


def run(command, env):
    """(seconds, seconds of CPU, standard error) of a command whose output somebody reads."""
    begin = time.monotonic()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as reader:
        with subprocess.Popen([str(word) for word in command], stdout=reader.stdin, stderr=subprocess.PIPE, env=env) as process:
            reader.stdin.close()
            said = process.stderr.read().decode()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        reader.wait()
    if process.returncode != 0:
        sys.exit(f"{command[0]}: exit status {process.returncode}\n{said}")
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime, said


def measure(server, driver, description, rounds):
    env = {**ENVIRONMENT, "AWS_ENDPOINT_URL": server.url}
    curl = ["curl", "-sS", f"{server.url}/bucket/artifact"]
    fetch = [driver, "fetch", "s3://bucket", "artifact", description]
    runs = {"curl": [], "fetch": []}
    for _ in range(rounds):
        runs["curl"].append(run(curl, env))
        runs["fetch"].append(run(fetch, env))
    facts = [dict(line.split("=", 1) for line in said.splitlines()) for _, _, said in runs["fetch"]]
    found = {f"{name}_{what}": round(median(r[i] for r in runs[name]), 4)
             for name in runs for i, what in enumerate(("seconds", "cpu"))}
    return {**found, "ratio": round(found["fetch_seconds"] / found["curl_seconds"], 3),
            "memory_bytes": max(int(f["memory"]) for f in facts) * 1024,
            "requests": median(int(f["requests"]) for f in facts), "streams": median(int(f["streams"]) for f in facts)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--driver", default=TOP / "build/gcc/depot-driver", type=Path)
    parser.add_argument("--rounds", default=5, type=int)
    parser.add_argument("--size", default=60, type=int, metavar="MB")
    parser.add_argument("--rate", default=90, type=int, metavar="MB/s")
    parser.add_argument("--delay", default=30, type=int, metavar="MS")
    parser.add_argument("--unlimited", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if not options.driver.exists():
        sys.exit(f"{options.driver} is not there: make test-programs")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        content = random.Random(1).randbytes(options.size * MB)
        (folder / "artifact").write_bytes(content)
        limits = (0, 0) if options.unlimited else (options.rate * MB, options.delay / 1000)
        server = Server(folder / "artifact", len(content), *limits)
        found = measure(server, options.driver, describe(content, folder), options.rounds)
    print(f"curl {found['curl_seconds']:.3f} s, fetch {found['fetch_seconds']:.3f} s: ratio {found['ratio']:.2f}; "
          f"CPU {found['curl_cpu']:.3f} s, {found['fetch_cpu']:.3f} s; {found['memory_bytes'] / MIB:.1f} MiB, "
          f"{found['requests']:.0f} requests, {found['streams']:.0f} streams at most")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    is_goal = (options.size, options.rate, options.delay, options.unlimited) == (60, 90, 30, False)
    if is_goal and (found["ratio"] > GOAL_RATIO or found["memory_bytes"] > GOAL_MEMORY):
        sys.exit(f"goal missed: at most {GOAL_RATIO} of curl's time, under {GOAL_MEMORY // MIB} MiB")


if __name__ == "__main__":
    main()
