"""The Debian package: what it leaves behind when it goes, and what it does not touch."""

import os

import pytest
from rig import host
from rig.readme import follow, tour

# What any package leaves: dpkg's own records, and the system user, whose number no other user may get while a file of
# its may lie about. What the lab itself writes to make an instance of an image.
TRACES = ("var/lib/dpkg/", "var/log/", "etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "var/cache/ldconfig/")
LAB = ("etc/hostname", "etc/hosts", "etc/resolv.conf")


def entries(root):
    """Everything in a tree that is not to be expected anyway, by name."""
    found = set()
    for folder, folders, files in os.walk(root):
        inner = os.path.relpath(folder, root)
        found.update(os.path.normpath(os.path.join(inner, name)) for name in folders + files)
    return {name for name in found if not f"{name}/".startswith(TRACES) and not name.startswith(TRACES + LAB)}


def dpkg(instance, *arguments):
    return host.run("chroot", instance.root, "env", "DEBIAN_FRONTEND=noninteractive",
                    "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "dpkg", *arguments)


@pytest.fixture
def packaged(lab, new_instance):
    """An instance with the package on it that is not booted."""
    lab.require_package()
    return new_instance()


def test_purge_leaves_nothing(lab, packaged):
    before = entries(lab.layers[-1])
    installed = entries(packaged.root)
    assert {"usr/bin/muster", "usr/sbin/musterd", "etc/muster/muster.conf.d"} <= installed
    packaged.put("/etc/muster/muster.conf", "[agent]\n")
    packaged.put("/var/lib/muster/apps/api/deployment.json", "{}")
    dpkg(packaged, "--purge", "muster")
    assert entries(packaged.root) - before == set()
    assert before - entries(packaged.root) == set()


def test_remove_keeps_configuration_and_state(packaged):
    packaged.put("/etc/muster/muster.conf", "[agent]\n")
    packaged.put("/var/lib/muster/apps/api/deployment.json", "{}")
    dpkg(packaged, "--remove", "muster")
    assert packaged.get("/etc/muster/muster.conf") == b"[agent]\n"
    assert packaged.get("/var/lib/muster/apps/api/deployment.json") == b"{}"
    assert not (packaged.root / "usr/bin/muster").exists()


def test_purge_leaves_deployed_applications(packaged):
    """Their units may be running from there, and start again at the next boot."""
    app = "/var/lib/muster/apps/api"
    packaged.put(f"{app}/releases/1.0-0123456789ab/server", "x")
    (packaged.root / "var/lib/muster/apps/api/current").symlink_to("releases/1.0-0123456789ab")
    said = dpkg(packaged, "--purge", "muster")
    assert "applications are deployed in /var/lib/muster/apps" in said.stdout + said.stderr
    assert packaged.get(f"{app}/current/server") == b"x"
    assert not (packaged.root / "etc/muster").exists()


@pytest.fixture(scope="module")
def deployed(lab):
    """A booted instance on which the app of the README's tour runs."""
    lab.require_package()
    instance = lab.instance().boot()
    follow(instance, tour()[:4])
    yield instance
    lab.remove(instance)


def main_pid(instance, unit):
    return instance.run("systemctl", "show", "--property=MainPID", "--value", unit).text


def test_units_are_in_order(deployed):
    units = ["musterd.service", "muster-recover.service"]
    said = deployed.run("systemd-analyze", "verify", "--man=no", *units, check=False)
    assert "muster" not in said.err
    assert deployed.run("systemctl", "is-enabled", "musterd", "muster-recover").text.split() == ["enabled"] * 2
    assert deployed.run("systemctl", "show", "--property=Result", "--value", "muster-recover").text == "success"
    assert deployed.system_state() == "running"


def test_recovery_comes_before_any_application(deployed):
    """Applications' units and sockets come after sysinit.target."""
    before = deployed.run("systemctl", "show", "--property=Before", "--value", "muster-recover").text
    assert "sysinit.target" in before.split()
    after = deployed.run("systemctl", "show", "--property=After", "--value", "hello.service").text
    assert "sysinit.target" in after.split()


@pytest.mark.parametrize("member, arguments, allowed", [("GetStatus", [], True), ("GetHistory", ["su", "", "5"], True),
                                                        ("Poll", [], False), ("CheckInstalled", [], False)])
def test_bus_lets_everybody_look_and_root_act(deployed, member, arguments, allowed):
    call = ["busctl", "call", "org.muster.Agent1", "/org/muster/Agent1", "org.muster.Agent1", member, *arguments]
    assert deployed.run(*call, check=False).code == 0
    said = deployed.run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *call, check=False)
    assert (said.code == 0) is allowed
    assert allowed or "Access denied" in said.err


def test_nobody_else_may_be_musterd(deployed):
    said = deployed.run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "busctl", "call",
                        "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName", "su",
                        "org.muster.Agent1", "0", check=False)
    assert said.code != 0 and "Access denied" in said.err


def test_restart_leaves_applications_alone(deployed):
    app, agent = main_pid(deployed, "hello"), main_pid(deployed, "musterd")
    deployed.run("systemctl", "restart", "musterd")
    assert main_pid(deployed, "hello") == app
    assert main_pid(deployed, "musterd") != agent


def test_a_crash_is_made_good(deployed):
    app, agent = main_pid(deployed, "hello"), main_pid(deployed, "musterd")
    deployed.run("kill", "-KILL", agent)
    host.wait_for(lambda: main_pid(deployed, "musterd") not in ("0", agent), 20, "musterd to be started again")
    assert main_pid(deployed, "hello") == app


def test_upgrade_leaves_applications_alone(deployed, lab):
    """The same package again stands for a newer one: dpkg does the same with it."""
    app, agent = main_pid(deployed, "hello"), main_pid(deployed, "musterd")
    deployed.put("/root/muster.deb", lab.package)
    deployed.run("dpkg", "--install", "/root/muster.deb")
    assert main_pid(deployed, "hello") == app
    assert main_pid(deployed, "musterd") not in ("0", agent)
    assert deployed.run("systemctl", "is-active", "musterd").text == "active"
    assert "1.0" in deployed.run("muster", "status").out


def test_purge_leaves_running_applications_alone(deployed):
    """The last test of this instance: afterwards there is no muster on it."""
    app = main_pid(deployed, "hello")
    said = deployed.run("dpkg", "--purge", "muster")
    assert "applications are deployed" in said.out + said.err
    assert deployed.run("systemctl", "is-active", "musterd", check=False).text in ("inactive", "failed")
    assert main_pid(deployed, "hello") == app
    deployed.run("systemctl", "restart", "hello")
    assert deployed.run("systemctl", "is-active", "hello").text == "active"
