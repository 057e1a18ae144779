"""artifacts/fetch beside a single curl: where every connection is limited, as those to S3 are, and where none is.

A server of this module gives each connection a token bucket (90 MB/s) and each answer a delay (30 ms to its first byte),
which are assumptions about S3, not measurements of it."""

import hashlib
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

MB = 1_000_000
MIB = 1 << 20
CHUNK = MIB
TICK = 0.003  # seconds of the rate that are sent at a time
SIZE = 60 * MB
LIMITS = {"limited": (90 * MB, 0.030), "unlimited": (0, 0)}  # bytes a second, seconds; 0: none
GOAL_RATIO = {"limited": 0.35}
GOAL_MEMORY = 64  # MiB
FIRST = ["nice", "-n", "-20"]  # both sides: the machine may be shared
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


def run_command(command, env):
    """(seconds, seconds of CPU, standard error) of a command whose output somebody reads."""
    begin = time.monotonic()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as reader:
        with subprocess.Popen([str(word) for word in FIRST + command], env=env, stdout=reader.stdin,
                              stderr=subprocess.PIPE) as process:
            reader.stdin.close()
            said = process.stderr.read().decode()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        reader.wait()
    if process.returncode != 0:
        sys.exit(f"{command[0]}: exit status {process.returncode}\n{said}")
    return time.monotonic() - begin, usage.ru_utime + usage.ru_stime, said


def measure(server, driver, description, rounds):
    """(curl's runs, the fetch's)."""
    env = {**ENVIRONMENT, "AWS_ENDPOINT_URL": server.url}
    curl = ["curl", "-sS", f"{server.url}/bucket/artifact"]
    fetch = [driver, "fetch", "s3://bucket", "artifact", description]
    pairs = [(run_command(curl, env), run_command(fetch, env)) for _ in range(rounds)]
    return zip(*pairs)


def tell(report, name, curl, fetch):
    facts = [dict(line.split("=", 1) for line in said.splitlines()) for _, _, said in fetch]
    report.line(f"{name}: curl", [r[0] for r in curl])
    report.line(f"{name}: fetch", [r[0] for r in fetch], beside=[r[0] for r in curl], goal=GOAL_RATIO.get(name))
    report.line(f"{name}: fetch, CPU", [r[1] for r in fetch], beside=[r[1] for r in curl])
    report.line(f"{name}: fetch, memory", [int(f["memory"]) / 1024 for f in facts], "MiB", goal=GOAL_MEMORY)


def run(report, programs, rounds):
    report.part(f"fetch: {SIZE / MB:.0f} MB in chunks of 1 MiB over HTTP; limited: 90 MB/s for each connection, 30 ms to the "
                "first byte")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        content = random.Random(1).randbytes(SIZE)
        (folder / "artifact").write_bytes(content)
        description = describe(content, folder)
        for which, limits in LIMITS.items():
            server = Server(folder / "artifact", len(content), *limits)
            tell(report, which, *map(list, measure(server, programs / "depot-driver", description, rounds)))
