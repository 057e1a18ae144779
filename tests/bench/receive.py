"""Fetch, verify, unpack and make durable over TLS, beside `curl -s URL | bsdtar -x && sync -f`, each time on a fresh ext4."""

import os
import shlex
import struct
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import trees

TOP = Path(__file__).resolve().parents[2]
CACHE = TOP / "build/bench"
GOALS = {"a": 0.90, "b": 0.55}
DISK_SIZE = "8G"  # sparse; its journal has 64 MiB, as that of a small server
FEATURES = "assume_storage_prezeroed=1,lazy_itable_init=0,lazy_journal_init=0"  # nothing goes on after mkfs
FIRST = ["nice", "-n", "-20"]  # both sides: the machine may be shared


@contextmanager
def server(folder):
    """(URL, certificate) of a server of that folder."""
    program = CACHE / "server"
    subprocess.run(["go", "build", "-o", program, TOP / "tests/bench/server.go"], check=True,
                   env={**os.environ, "GOCACHE": str(CACHE / "go-cache")})
    certificate = CACHE / "certificate.pem"
    with subprocess.Popen([program, folder, certificate], stdout=subprocess.PIPE, text=True) as running:
        try:
            yield f"https://127.0.0.1:{int(running.stdout.readline())}", certificate
        finally:
            running.kill()


@contextmanager
def fresh_disk():
    """A new, empty ext4 with a journal, on a loop device."""
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        image, place = Path(folder, "disk"), Path(folder, "mounted")
        place.mkdir()
        subprocess.run(["truncate", "--size", DISK_SIZE, image], check=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", FEATURES, image], check=True)
        subprocess.run(["mount", "-o", "loop", image, place], check=True)
        os.sync()
        try:
            yield place
        finally:
            subprocess.run(["umount", place], check=True)


def header(archive, facts):
    """What musterd would write first (artifacts/unpack_protocol.h)."""
    fields = struct.pack("<II", 1, 1) + b"tar.zst".ljust(16, b"\0")
    return (b"MUSTERUP" + fields + struct.pack("<QQQQII", archive.stat().st_size, facts["entries"], facts["bytes"], 96 << 20,
                                               1024, 64)).ljust(128, b"\0")


def shell(command, place):
    start = time.monotonic()
    subprocess.run([*FIRST, "bash", "-o", "pipefail", "-ec", command], cwd=place, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


class Peer:
    """What scripts do, done well."""
    name = "curl | bsdtar && sync -f"

    def __init__(self, _, url, certificate, *__):
        self.command = f"curl -sf --cacert {shlex.quote(str(certificate))} {url} | bsdtar -x && sync -f ."

    def run(self, place):
        return shell(self.command, place)


class Pipe:
    """muster-unpack alone, fed by curl: no digest is checked."""
    name = "curl | muster-unpack"

    def __init__(self, programs, url, certificate, archive, facts):
        limits = CACHE / f"{archive.name}.limits"
        limits.write_bytes(header(archive, facts))
        self.command = f"{{ cat {shlex.quote(str(limits))}; curl -sf --cacert {shlex.quote(str(certificate))} {url}; }} | " \
                       f"{shlex.quote(str(programs / 'muster-unpack'))}"

    def run(self, place):
        return shell(self.command, place)


class Muster:
    """musterd's way: fetch in checked chunks into muster-unpack, seal, commit."""
    name = "muster: fetch, verify, unpack, commit"

    def __init__(self, programs, url, certificate, archive, facts):
        base, _, self.key = url.rsplit("/", 2)
        self.stages = []
        self.arguments = [programs / "receive-driver", archive, self.key, str(facts["entries"]), str(facts["bytes"])]
        self.environment = {**os.environ, "AWS_ENDPOINT_URL_S3": base, "AWS_CA_BUNDLE": str(certificate),
                            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "none",
                            "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}

    def run(self, place):
        with subprocess.Popen([*FIRST, *self.arguments, place], env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as running:
            ready = running.stdout.readline()
            start = time.monotonic()
            running.stdin.write("\n")
            running.stdin.flush()
            done = running.stdout.readline().split()
            seconds = time.monotonic() - start
            if ready != "ready\n" or done[:1] != ["done"]:
                raise SystemExit(f"bench: receive-driver said {ready!r}, {done!r}")
        self.stages.append([float(word) for word in done[1:]])
        return seconds


WAYS = [Peer, Pipe, Muster]


def measure(name, programs, rounds):
    """The archive, facts about it, the ways and the seconds of each."""
    archive, facts = trees.archive(CACHE, name)
    served = CACHE / "served" / "bucket"
    served.mkdir(parents=True, exist_ok=True)
    (served / archive.name).unlink(missing_ok=True)
    os.link(archive, served / archive.name)
    with server(served.parent) as (base, certificate):
        ways = [way(programs, f"{base}/bucket/{archive.name}", certificate, archive, facts) for way in WAYS]
        times = {way.name: [] for way in ways}
        for _ in range(rounds):
            for way in ways:
                with fresh_disk() as place:
                    times[way.name].append(way.run(place))
    return archive, facts, ways, times


def run(report, programs, rounds):
    CACHE.mkdir(parents=True, exist_ok=True)
    for name, goal in GOALS.items():
        archive, facts, ways, times = measure(name, programs, rounds)
        report.part(f"receive {name}: {archive.stat().st_size / 1e6:.1f} MB, {facts['entries']} entries, "
                    f"{facts['bytes'] / 1e6:.0f} MB unpacked")
        for way in ways:
            report.line(f"{name}: {way.name}", times[way.name], beside=times[Peer.name] if way is not ways[0] else None,
                        goal=goal if isinstance(way, Muster) else None)
        stages = [median(seconds) for seconds in zip(*ways[-1].stages)]
        print("    until everything was fetched {:.3f} s, unpacked {:.3f} s, committed {:.3f} s".format(*stages))
