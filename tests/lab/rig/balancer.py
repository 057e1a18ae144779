"""haproxy as the load balancer, in the cloud's network namespace. Servers are slots that the runtime API fills, drains
and empties, so it is never reloaded."""

import socket
import threading
import time

from . import host
from .host import LabError
from .network import BALANCER_ADDRESS

SLOTS = 32
URL = f"http://{BALANCER_ADDRESS}"

_CONFIG = """global
    maxconn 4096
    stats socket {socket} mode 600 level admin
    nbthread 1
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    timeout http-request 10s
    retries 0
    option http-server-close
    option log-health-checks
frontend service
    bind {address}:80
    default_backend instances
backend instances
    balance roundrobin
{servers}"""


class Balancer:
    """It never retries: what an instance does not answer is a failure that a client sees. Towards the instances every
    request has a connection of its own, so that no request can meet an idle connection that is just being closed."""

    def __init__(self, lab, port=8080):
        self._port = port
        self._lock = threading.Lock()
        self._slots = {}  # instance id -> slot
        self._free = [f"s{n}" for n in range(1, SLOTS + 1)]
        self._socket = lab.run.folder / "haproxy.sock"
        config = lab.run.folder / "haproxy.cfg"
        servers = "".join(f"    server {slot} 0.0.0.0:{port} disabled\n" for slot in self._free)
        config.write_text(_CONFIG.format(socket=self._socket, address=BALANCER_ADDRESS, servers=servers))
        log = lab.run.folder / "haproxy.log"
        self._lab = lab
        self._process = lab.run.spawn(["haproxy", "-db", "-f", config], "haproxy", netns=lab.network.cloud, log=log)

        def ready():
            if self._process.poll() is not None:
                raise LabError(f"haproxy ended:\n{log.read_text()}")
            return self._socket.exists()
        host.wait_for(ready, 10, "haproxy to start")

    def _command(self, *commands):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self._socket))
            connection.sendall(("; ".join(commands) + "\n").encode())
            answer = b""
            while data := connection.recv(65536):
                answer += data
        return answer.decode().strip()

    def add(self, instance):
        """Sends it traffic from now on."""
        with self._lock:
            slot = self._slots.get(instance.id) or self._free.pop(0)
            self._slots[instance.id] = slot
            self._command(f"set server instances/{slot} addr {instance.address} port {self._port}",
                          f"set server instances/{slot} state ready")

    def drain(self, instance):
        """Sends it no new requests; those under way end in peace."""
        with self._lock:
            if slot := self._slots.get(instance.id):
                self._command(f"set server instances/{slot} state drain")

    def remove(self, instance, patience=5):
        """Forgets it, once nothing is under way (or after `patience` seconds)."""
        with self._lock:
            slot = self._slots.pop(instance.id, None)
            if slot is None:
                return
            self._command(f"set server instances/{slot} state drain")
            deadline = time.monotonic() + patience
            while self._current(slot) and time.monotonic() < deadline:
                time.sleep(0.05)
            self._command(f"set server instances/{slot} state maint")
            self._free.append(slot)

    def _rows(self):
        lines = self._command("show stat").lstrip("# ").splitlines()
        names = lines[0].split(",")
        return [dict(zip(names, line.split(","))) for line in lines[1:]]

    def _current(self, slot):
        return next(int(r["scur"]) for r in self._rows() if r["svname"] == slot)

    def busy(self, instance):
        """How many requests an instance has under way."""
        with self._lock:
            slot = self._slots.get(instance.id)
            return self._current(slot) if slot else 0

    def statistics(self):
        """instance id -> {"requests", "errors", "status"}, as haproxy counts them."""
        with self._lock:
            by_slot = {row["svname"]: row for row in self._rows() if row["pxname"] == "instances"}
            return {name: {"requests": int(by_slot[slot]["stot"] or 0),
                           "errors": int(by_slot[slot]["econ"] or 0) + int(by_slot[slot]["eresp"] or 0),
                           "status": by_slot[slot]["status"]} for name, slot in self._slots.items()}

    def close(self):
        host.cgroup_kill(f"{self._lab.run.cgroup}/haproxy")
        self._process.wait()
