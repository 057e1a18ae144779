"""A running lab: the run, its network, the image, and the instances made in it."""

import secrets
from pathlib import Path

from . import rootfs
from .host import LabError
from .instance import Instance
from .network import Network
from .run import Run

INOTIFY_INSTANCES = 1024


class Lab:
    """with Lab() as lab: …  Everything is gone at the end, however it ends."""

    def __init__(self, package=None, say=print):
        self.package = package or rootfs.find_package()
        self._allow_watches()
        self.run = Run()
        try:
            self.layers = rootfs.layers(self.package, say)
            self.network = Network(self.run)
        except BaseException:
            self.run.close()
            raise
        self.instances = []

    @staticmethod
    def _allow_watches():
        """A booted system watches files with some ten inotify instances, all of them counted as root's of this machine; where they
        run out, systemd itself stops working in some of them."""
        allowed = Path("/proc/sys/fs/inotify/max_user_instances")
        if int(allowed.read_text()) < INOTIFY_INSTANCES:
            allowed.write_text(str(INOTIFY_INSTANCES))

    def require_package(self):
        if self.package is None:
            raise LabError("this needs muster's package: run `make deb` first")

    @staticmethod
    def new_id():
        return f"i-0{secrets.token_hex(8)}"

    def instance(self, instance_id=None):
        """A new instance, not yet switched on."""
        instance = Instance(self.run, self.network, self.layers, instance_id or self.new_id())
        self.instances.append(instance)
        return instance

    def remove(self, instance):
        instance.remove()
        self.instances.remove(instance)

    def close(self):
        self.run.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
