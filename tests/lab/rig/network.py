"""The network of one run: a namespace `cloud` with a bridge, one namespace for each instance, veth pairs between.

Nothing of it is connected to the host, so every run can use the same addresses as every other:

    10.0.0.2          the AWS endpoints (fault proxy) and the name server
    10.0.0.3          the load balancer
    10.0.1.1 …        the instances
    169.254.169.254   the instance metadata service
"""

import itertools

from . import host

BRIDGE = "br0"
BRIDGE_MAC = "02:00:0a:00:00:02"
CLOUD_ADDRESS = "10.0.0.2"
BALANCER_ADDRESS = "10.0.0.3"
METADATA_ADDRESS = "169.254.169.254"


class Network:
    def __init__(self, run):
        self._run = run
        self._numbers = itertools.count(1)
        self.cloud = run.namespace("cloud")
        # With an address of its own: else it has the lowest of its ports', which changes as instances come and go, and those
        # that know the old one reach nothing here for half a minute.
        commands = [f"link add {BRIDGE} address {BRIDGE_MAC} type bridge", f"link set {BRIDGE} up",
                    f"addr add {CLOUD_ADDRESS}/16 dev {BRIDGE}", f"addr add {BALANCER_ADDRESS}/16 dev {BRIDGE}",
                    f"addr add {METADATA_ADDRESS}/32 dev {BRIDGE}"]
        self._batch(self.cloud, commands)

    @staticmethod
    def _batch(namespace, commands):
        host.run("ip", "-n", namespace, "-batch", "-", input="\n".join(commands) + "\n")

    def attach(self):
        """Makes the network of one more instance; returns (namespace, address). Its interface is called host0."""
        number = next(self._numbers)
        namespace = self._run.namespace(f"i{number}")
        address = f"10.0.{1 + number // 250}.{1 + number % 250}"
        mac = "02:00:" + ":".join(f"{int(part):02x}" for part in address.split("."))
        self._batch(self.cloud, [f"link add i{number} type veth peer name host0 netns {namespace} address {mac}",
                                 f"link set i{number} master {BRIDGE} up"])
        self._batch(namespace, [f"addr add {address}/16 dev host0", "link set host0 up",
                                f"route add default via {CLOUD_ADDRESS}",
                                f"route add {METADATA_ADDRESS} dev host0"])
        return namespace, address

    def detach(self, namespace):
        host.run("ip", "netns", "delete", namespace, check=False)

    def link(self, namespace, up):
        """Cuts an instance off, or joins it again."""
        host.run("ip", "-n", namespace, "link", "set", "host0", "up" if up else "down")
        if up:  # taking the link down took the routes with it
            self._batch(namespace, [f"route replace default via {CLOUD_ADDRESS}",
                                    f"route replace {METADATA_ADDRESS} dev host0"])

    def shape(self, namespace, rate):
        """Limits what the instance receives and sends ("20mbit"), or lifts the limit (None)."""
        number = namespace.rsplit("-i", 1)[1]
        for where, device in ((namespace, "host0"), (self.cloud, f"i{number}")):
            host.run("tc", "-n", where, "qdisc", "delete", "dev", device, "root", check=False)
            if rate:
                host.run("tc", "-n", where, "qdisc", "add", "dev", device, "root", "tbf", "rate", rate,
                         "burst", "256kb", "latency", "200ms")
