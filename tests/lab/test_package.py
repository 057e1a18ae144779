"""The Debian package: what it leaves behind when it goes, and what it does not touch."""

import os

import pytest
from rig import host

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
    assert {"usr/bin/muster", "etc/muster/muster.conf.d"} <= installed
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
