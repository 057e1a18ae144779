"""The ways of muster-reload(7), each as the page prints it: version after version under load, and back from bad ones, and not one
request fails."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rig import goapp, manual
from rig.prober import Load
from rig.site import Site

PAGE = "units/muster-reload.7"
SOCKET, HAND_OVER, SERVER = ("A socket of systemd's", "Hand-over to a successor", "A server of the machine's own")
HAPROXY = ["/usr/sbin/haproxy", "/lib/systemd/system/haproxy.service"]


class App:
    """An app of the page, with the lab's service as its program where it has one."""

    def __init__(self, site, name, port, heading):
        self.site = site.of(name)
        self.name = name
        self.heading = heading
        self.port = port
        self.url = f"http://{site.instance.address}:{port}/"

    def release(self, version, change=None, **switches):
        """Publishes a version, its folder changed by change(folder), and has it deployed."""
        folder = manual.write(self.site.folder / f"{self.name}-{version}", PAGE, self.heading)
        if (folder / "units").is_dir():
            (folder / "bin").mkdir()
            shutil.copy(goapp.program(version), folder / "bin" / self.name)
            goapp.write_switches(folder, switches)
        if change:
            change(folder)
        self.site.publish_folder(folder, version)
        self.target(version)

    def target(self, version, *options):
        self.site.set_target(version, *options)
        self.site.instance.run("busctl", "--quiet", "call", "org.muster.Agent1", "/org/muster/Agent1", "org.muster.Agent1", "Poll")

    def serves(self, version, **more):
        return self.site.wait_app(state="good", version=version, **more)

    def stays(self, version, failed):
        """Waits until a release has failed, and another one serves again; gives the failure."""
        app = self.site.wait_app(state="held", version=version)
        assert app["last_failure"]["version"] == failed
        return app["last_failure"]

    def unit(self, name):
        return self.site.instance.run("systemctl", "show", "-P", name, f"{self.name}.service").text

    def who_accepts(self):
        """The processes of the app that hold the socket which listens."""
        told = self.site.instance.run("ss", "-Hltnp", f"sport = :{self.port}").text
        return set(re.findall(rf'\("{self.name}",pid=(\d+)', told))

    def slow_request(self, seconds):
        """One that is under way for a while, from the machine's own side."""
        return self.site.instance.start("curl", "-sS", f"{self.url}slow?for={seconds}s", stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)


@pytest.fixture(scope="module")
def site(lab, tmp_path_factory):
    instance = lab.instance().boot()
    site = Site(instance, tmp_path_factory.mktemp("reload"))
    site.configure("[app chat]\n[app edge]\n")
    yield site
    lab.remove(instance)


@pytest.fixture
def start(site, lab, request):
    """Brings an app up, and requests to it."""
    request.node.instances = [site.instance]
    loads = []

    def begin(name, port, heading):
        app = App(site, name, port, heading)
        app.release("1.0.0")
        app.serves("1.0.0")
        loads.append(Load(lab, f"{app.url}version", connections=8, rate=300))
        loads[0].wait_requests(50)
        return app, loads[0]

    yield begin
    for load in loads:
        load.stop()


def check(load, *versions):
    """Nothing has failed, and all of these have answered."""
    load.wait_requests(50)
    totals = load.stop()
    assert totals["failed"] == 0, load.failures()
    assert totals["requests"] > 200
    assert {key.split()[-1] for key in totals["by"]} == set(versions)


def break_program(folder):
    """A version that ends with an error as soon as it is started."""
    program = folder / "bin" / folder.name.rpartition("-")[0]
    program.write_text("#!/bin/sh\necho no such table\nexit 1\n")


def test_socket(start):
    """A restart: also to a version that does not start, and back."""
    app, load = start("api", 8080, SOCKET)
    slow = app.slow_request(1)
    app.release("2.0.0")
    app.serves("2.0.0")
    assert slow.communicate(timeout=10)[0] == "at last\n"
    app.release("3.0.0", break_program)
    failure = app.stays("2.0.0", failed="3.0.0")
    assert failure["step"] == "UNITS" and "no such table" in failure["reason"]
    assert app.site.instance.run("systemctl", "is-active", "api.socket").text == "active"
    check(load, "1.0.0", "2.0.0")


def test_hand_over(start):
    app, load = start("chat", 8081, HAND_OVER)
    before = app.unit("MainPID"), app.unit("InvocationID")
    slow = app.slow_request(3)
    app.release("2.0.0", SLOW_START="1s", SLOW_DRAIN="1s")  # longer than the settle time
    app.serves("2.0.0")
    assert app.unit("MainPID") != before[0] and app.unit("InvocationID") == before[1]
    assert slow.communicate(timeout=10)[0] == "at last\n"

    app.release("3.0.0", FAIL_START="1")
    failure = app.stays("2.0.0", failed="3.0.0")
    assert failure["step"] == "UNITS" and "chat.service still runs " in failure["reason"]
    assert "still serving 2.0.0" in failure["reason"]

    app.site.instance.run("systemctl", "reload", "chat.service")
    assert app.who_accepts() == {app.unit("MainPID")}  # the predecessor is still there

    slow = app.slow_request(2)
    app.target("2.0.0", "--env", "COLOUR=blue")  # a running process takes no new environment, so it is restarted
    app.serves("2.0.0", serial=4)
    assert slow.communicate(timeout=10)[0] == "at last\n"
    assert app.unit("InvocationID") != before[1]
    check(load, "1.0.0", "2.0.0")


def install_haproxy(instance):
    """The package of this machine, as far as it is needed."""
    told = subprocess.run(["ldd", HAPROXY[0]], capture_output=True, text=True, check=True).stdout
    libraries = [word for word in told.split() if word.startswith("/")]
    for path in [*HAPROXY, *libraries]:
        if instance.run("test", "-e", path, check=False).code != 0:
            instance.put(path, Path(path), mode=0o755 if path == HAPROXY[0] else 0o644)
    instance.run("systemctl", "daemon-reload")


def test_server_of_the_machine(start, site):
    """haproxy, also with a configuration that is wrong."""
    install_haproxy(site.instance)
    def change(folder):
        file = folder / "haproxy.cfg"
        file.write_text(file.read_text().replace("X-Version 1.0.0", f"X-Version {folder.name.removeprefix('edge-')}"))

    def spoil(folder):
        (folder / "haproxy.cfg").write_text("frontend\n")

    edge, load = start("edge", 8082, SERVER)
    edge.release("2.0.0", change)
    edge.serves("2.0.0")
    edge.release("3.0.0", spoil)
    failure = edge.stays("2.0.0", failed="3.0.0")
    assert failure["step"] == "UNITS" and "its reload failed (exit-code), the old process goes on" in failure["reason"]
    check(load, "1.0.0", "2.0.0")
