"""A site without a cloud: one instance that is operator, depot (file:///srv/depot) and fleet at once. For tests of what
happens on an instance."""

import copy
import json

from . import goapp
from .host import wait_for

DEPOT = "file:///srv/depot"
GROUP = "site"
CONFIGURATION = f"""[agent]
depot = {DEPOT}
group = {GROUP}
instance_id = {{instance}}
poll_interval = 1s
settle_time = 500ms

[app api]
"""


class Site:
    """instance: booted or not, with muster's package. folder: where app folders are built, on the host. name: which app the
    methods are about."""

    name = "api"

    def __init__(self, instance, folder):
        self.instance = instance
        self.folder = folder
        instance.run("mkdir", "-p", "/srv/depot")
        for role in ("root", "release", "target"):
            self.muster("key", "generate", "--out", f"/srv/{role}.key", "--public-out", f"/srv/{role}.pub")
        self.muster("root", "init", "--root-key", "/srv/root.key", "--release-key", "/srv/release.pub", "--target-key",
                    "/srv/target.pub", "--out", "/etc/muster/root.json")

    def of(self, app):
        """The same site, as far as another app is concerned."""
        other = copy.copy(self)
        other.name = app
        return other

    def muster(self, *arguments, **options):
        return self.instance.run("muster", *arguments, env={"MUSTER_DEPOT": DEPOT}, **options)

    def configure_agent(self, keys):
        """The same with more keys of its first section."""
        self.instance.put("/etc/muster/muster.conf",
                          CONFIGURATION.format(instance=self.instance.id).replace("[app api]", keys + "\n[app api]"))

    def configure(self, more=""):
        self.instance.put("/etc/muster/muster.conf", CONFIGURATION.format(instance=self.instance.id) + more)

    def bring_up(self, *others, keys=""):
        """Until 1.0.0 serves; these other versions are published as well."""
        for version in ("1.0.0", *others):
            self.publish(version)
        self.set_target("1.0.0")
        self.configure_agent(keys)
        self.wait_app(state="good", version="1.0.0")

    def publish(self, version, appspec=None, **switches):
        """Builds the lab's app as this version and publishes it."""
        self.publish_folder(goapp.build(self.folder, version, appspec, **switches), version)

    def publish_folder(self, folder, version):
        self.copy(folder, f"/srv/{self.name}-{version}")
        self.muster("publish", f"/srv/{self.name}-{version}", "--app", self.name, "--version", version, "--key",
                    "/srv/release.key")

    def copy(self, folder, to):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.instance.put(f"{to}/{path.relative_to(folder)}", path, mode=path.stat().st_mode & 0o777)

    def set_target(self, version, *options):
        self.muster("target", "set", "--app", self.name, "--group", GROUP, "--version", version, "--key", "/srv/target.key",
                    *options)

    def status(self):
        return json.loads(self.muster("status", "--json").out)

    def app(self):
        """The status of the app; None while musterd does not look after it, or does not run."""
        answer = self.muster("status", "--json", check=False)
        apps = json.loads(answer.out)["apps"] if answer.code == 0 else []
        return next((app for app in apps if app["app"] == self.name), None)

    def history(self):
        return json.loads(self.muster("history", self.name, "--json").out)["deployments"]

    def wait_app(self, timeout=60, **wanted):
        """Waits until the app's status has these values."""
        def reached():
            app = self.app()
            return app and all(app[key] == value for key, value in wanted.items()) and app
        return wait_for(reached, timeout, f"{self.name} to be {wanted}", interval=0.2)

    def serves(self):
        """The version that answers on the instance, "" if none does."""
        return self.instance.run("curl", "-s", "-m", "2", "http://127.0.0.1:8080/", check=False).out

    def current(self):
        return self.instance.run("readlink", f"/var/lib/muster/apps/{self.name}/current", check=False).text
