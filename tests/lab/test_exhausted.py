"""A disk on which nothing is left, of inodes or of bytes, from the middle of a deployment on: the instance goes back by the room that
was kept for it, says why, and goes on by itself once there is room again."""

import pytest
from rig import goapp
from rig.host import wait_for
from rig.site import Site

STATE = "/var/lib/muster"
SPARE = f"{STATE}/apps/api/spare"
FILLS = {"inodes": f"mkdir {STATE}/ballast; touch $(seq -f '{STATE}/ballast/%g' 2000)",
         "bytes": f"mkdir {STATE}/ballast; dd if=/dev/zero of={STATE}/ballast/1 bs=4k"}
MIDST = [("inodes", "after-install"), ("bytes", "validate")]


@pytest.fixture(scope="module")
def site(lab, tmp_path_factory):
    """A site whose state lies on a small disk, and on which 1.0.0 serves."""
    lab.require_package()
    instance = lab.instance()
    instance.use_state_disk("96M", "-N", "1024")
    instance.boot()
    site = Site(instance, tmp_path_factory.mktemp("site"))
    site.publish("1.0.0")
    site.set_target("1.0.0")
    site.configure()
    site.wait_app(state="good", version="1.0.0")
    return site


def spare(site):
    return len(site.instance.run("ls", SPARE).out.split())


def fill(site, version, what, hook, then="exit 0"):
    """Deploys a version one of whose hooks fills the disk, the first time that it runs."""
    folder = goapp.build(site.folder, version)
    once = f"/srv/filled-{version}"
    (folder / "hooks" / hook).write_text(f"#!/bin/sh\ntest ! -e {once} || exit 0\ntouch {once}\n{FILLS[what]} 2>/dev/null\n{then}\n")
    site.publish_folder(folder, version)
    site.set_target(version)


def relieve(site, version):
    site.instance.run("rm", "-r", f"{STATE}/ballast")
    site.wait_app(state="good", version=version, timeout=90)
    assert version in site.serves()


@pytest.mark.parametrize("what, hook", MIDST)
def test_midst(site, what, hook):
    before, version = site.app()["version"], f"2.{MIDST.index((what, hook))}.0"
    fill(site, version, what, hook)
    app = wait_for(lambda: (app := site.app()) and (app["last_failure"] or {}).get("version") == version and
                   not app["deployment"] and app, 60, "the way back to be over")
    assert (app["state"], app["version"], app["last_failure"]["fault"]) == ("held", before, "host")
    assert "cannot write the deploy record: No space left on device" in app["reason"]
    assert site.history()[0]["outcome"] == "rolled-back"
    assert site.current().startswith(f"releases/{before}-")
    assert before in site.serves()
    assert spare(site) == 0
    relieve(site, version)


def test_operator_goes_back(site):
    """What the release that serves has filled: its target is taken, and the release before is deployed from the disk."""
    before = site.app()["version"]
    site.publish("2.9.0")
    site.set_target("2.9.0")
    site.wait_app(state="good", version="2.9.0")
    wait_for(lambda: spare(site) > 0, 10, "the room that is kept")
    site.instance.sh(f"{FILLS['inodes']} 2>/dev/null || true")
    site.set_target(before)
    site.wait_app(state="good", version=before)
    assert spare(site) == 0
    assert before in site.serves()
    site.instance.run("rm", "-r", f"{STATE}/ballast")


def test_abort_in_the_bake(site):
    """Of a rollout whose candidate has filled it: its one instance goes back, and the group hears of it."""
    before = site.app()["version"]
    group = "--app", "api", "--group", "site"
    site.publish("2.10.0")
    site.muster("rollout", "start", *group, "--version", "2.10.0", "--id", "r-1", "--stages", "100%:10m", "--min-healthy-time", "1s",
                "--key", "/srv/target.key")
    marks = site.instance.root / "srv/depot/apps/api/groups/site/rollouts/r-1"
    wait_for(lambda: list(marks.glob("good-1/*")), 60, "the candidate to be good")
    site.instance.sh(f"{FILLS['inodes']} 2>/dev/null || true")
    site.muster("rollout", "abort", *group, "--reason", "it fills the disk")
    site.wait_app(state="good", version=before)
    wait_for(lambda: list(marks.glob("back-1/*")), 60, "the group to hear of it")
    assert spare(site) == 0
    site.instance.run("rm", "-r", f"{STATE}/ballast")


def test_power_fails_as_well(site):
    """What starts at boot is the release that was good, though there is no inode for another `current`."""
    before = site.app()["version"]
    fill(site, "3.0.0", "inodes", "after-install", f"sync -f {STATE}; touch {STATE}/../full; sleep 1000")
    wait_for(lambda: (site.instance.root / "var/lib/full").exists(), 30, "the disk to be full")
    assert site.current().startswith("releases/3.0.0-")
    site.instance.pull_plug()
    site.instance.put("/etc/muster/muster.conf", "")
    site.instance.boot()
    assert site.current().startswith(f"releases/{before}-")
    assert spare(site) == 0
    wait_for(lambda: before in site.serves(), 20, "the release that was good to serve")
    site.configure()
    relieve(site, "3.0.0")
