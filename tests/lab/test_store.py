"""The release store: is what is installed still what was signed, is the way back open, is there room, and what is removed."""

import json
import re
import subprocess
from pathlib import Path
from unittest.mock import ANY

import pytest
from rig import goapp
from rig.host import wait_for
from rig.site import Site

TOP = Path(__file__).resolve().parents[2]
CURRENT = "/var/lib/muster/apps/api/current"
RELEASES = "/var/lib/muster/apps/api/releases"
DRIFTED = "MESSAGE_ID=d139bb9a95eb464394ce6532eaee933c"


@pytest.fixture
def serving(instance, tmp_path):
    """A site on which 2.0.0 serves, and 1.0.0 did before."""
    site = Site(instance, tmp_path)
    site.publish("1.0.0")
    site.publish("2.0.0")
    site.set_target("1.0.0")
    site.configure()
    site.wait_app(state="good", version="1.0.0")
    site.set_target("2.0.0")
    site.wait_app(state="good", version="2.0.0")
    wait_checked(site)
    return site


def installed(site, role="current"):
    return next((release for release in site.app()["installed"] if release["role"] == role), None)


def wait_checked(site, state="whole", role="current"):
    return wait_for(lambda: (found := installed(site, role)) and found["state"] == state and found, 30,
                    f"the {role} release to be found {state}")


def report(site):
    return json.loads(site.instance.sh("cat /srv/depot/apps/api/groups/*/instances/*.json").out)


def verify(site, *arguments):
    """What `muster verify --installed --json` finds, by role."""
    result = site.instance.run("muster", "verify", "--installed", *arguments, "--json", check=False)
    found = {release["role"]: release for release in json.loads(result.out)["releases"]}
    return result.code, found


def wait_no_staging(site):
    wait_for(lambda: site.instance.run("ls", "/var/lib/muster/apps/api/staging").out == "", 30, "no staging to be left")


def drifts(release):
    return {(drift["path"], drift["kind"]) for drift in release["drift"]}


def test_verify_names_what_drifted(serving):
    """Whatever is changed in a tree is named, with musterd and without it, and what serves goes on serving."""
    instance = serving.instance
    code, found = verify(serving)
    assert code == 0
    assert {role: (release["state"], release["signature"]) for role, release in found.items()} == {
        "current": ("whole", "good"), "previous": ("whole", "good")}

    instance.sh(f"cd {CURRENT}; echo '# changed' >>appspec.yml; rm hooks/after-install; touch 'a new\nfile'; "
                "chmod 0777 bin/api; chown daemon units/api.service")
    code, found = verify(serving, "api")
    assert code == 1
    assert found["previous"]["state"] == "whole"
    assert drifts(found["current"]) == {
        ("appspec.yml", "changed"), ("hooks/after-install", "missing"), ("a new?file", "extra"),
        ("bin/api", "mode"), ("units/api.service", "owner")}
    text = instance.run("muster", "verify", "--installed", check=False)
    assert text.code == 1
    assert "  changed  appspec.yml: " in text.out
    assert "  mode     bin/api: mode 0777, expected 0755" in text.out

    # musterd was told to look as well; the look before may have seen a part of it.
    wait_for(lambda: installed(serving)["differences"] == 5, 30, "musterd to see it all")
    assert installed(serving)["state"] == "drifted"
    status = serving.muster("status").out
    assert "drifted: release 2.0.0-" in status
    assert "appspec.yml: changed" in status
    assert "2.0.0" in serving.serves()
    told = [json.loads(line)["MESSAGE"] for line in instance.run("journalctl", "-o", "json", DRIFTED).out.splitlines()]
    assert sorted(told) == sorted(set(told))  # each state of things once, however often it is looked at
    assert "appspec.yml: changed" in told[-1]

    instance.run("systemctl", "stop", "musterd")
    assert verify(serving)[0] == 1
    assert instance.run("muster", "verify", "--installed", "nothing", check=False).code == 5
    denied = instance.run("setpriv", "--reuid=daemon", "--clear-groups", "muster", "verify", "--installed", check=False)
    assert denied.code == 4


def test_hook_that_writes_into_its_release(serving):
    """As many install hooks do: it is told file by file, and the way back to such a release is open all the same."""
    folder = goapp.build(serving.folder, "3.0.0")
    (folder / "hooks/after-install").write_text(f"#!/bin/sh\ncd {CURRENT} && mkdir venv && touch venv/x && chmod 600 appspec.yml\n")
    serving.publish_folder(folder, "3.0.0")
    serving.set_target("3.0.0")
    serving.wait_app(state="good", version="3.0.0")
    wait_checked(serving, "drifted")
    assert drifts(verify(serving)[1]["current"]) == {("appspec.yml", "mode"), ("venv", "extra")}
    serving.publish("4.0.0")
    serving.set_target("4.0.0")
    serving.wait_app(state="good", version="4.0.0")
    wait_checked(serving, "drifted", "previous")
    assert serving.app()["rollback"] == {"ready": True, "version": "3.0.0", "reason": None}


def test_drifted_release_is_fetched_anew(serving):
    """A release in the store that is not what was signed counts as not there: going back to it brings it anew."""
    serving.instance.sh(f"for folder in {RELEASES}/1.0.0-*/; do echo >>$folder/bin/api; done")
    serving.set_target("1.0.0")
    serving.wait_app(state="good", version="1.0.0")
    assert verify(serving) == (0, ANY)
    assert "1.0.0" in serving.serves()
    assert "is fetched anew" in serving.instance.run("journalctl", DRIFTED).out
    # The redeployment of what serves, too: its tree changes places with a new one.
    serving.instance.sh(f"rm {CURRENT}/hooks/validate")
    serving.set_target("1.0.0", "--env", "AGAIN=1")
    serving.wait_app(state="good", version="1.0.0", serial=4)
    assert verify(serving)[0] == 0
    wait_no_staging(serving)


def test_drifted_release_without_a_depot(serving):
    """What has only more than was signed is used where nothing can be fetched; what lacks something is not."""
    instance = serving.instance
    instance.sh("mkdir /srv/away; mv /srv/depot/apps/api/artifacts/* /srv/away/")
    instance.sh(f"for folder in {RELEASES}/1.0.0-*/; do mkdir $folder/__pycache__; done")
    serving.set_target("1.0.0")
    serving.wait_app(state="good", version="1.0.0")
    assert "so it is used since it cannot be fetched" in instance.run("journalctl", DRIFTED).out
    assert drifts(verify(serving)[1]["current"]) == {("__pycache__", "extra")}

    instance.sh(f"for folder in {RELEASES}/2.0.0-*/; do echo >>$folder/bin/api; done")
    serving.set_target("2.0.0")
    app = wait_for(lambda: (serving.app()["last_failure"] or {}).get("version") == "2.0.0" and serving.app(), 60,
                   "release 2.0.0 to fail")
    assert "has drifted (1 changed (bin/api: changed, " in app["last_failure"]["reason"]
    assert "1.0.0" in serving.serves()
    assert serving.current().startswith("releases/1.0.0-")


def test_rollback_ready(serving):
    """The way back is looked at after each deployment, and told."""
    assert serving.app()["rollback"] == {"ready": True, "version": "1.0.0", "reason": None}
    assert "api: rollback ready: 1.0.0" in serving.muster("status").out
    serving.instance.sh(f"for file in {RELEASES}/1.0.0-*/bin/api; do echo >>$file; done")
    serving.instance.run("systemctl", "restart", "musterd")
    wait_checked(serving, "drifted", "previous")
    rollback = serving.app()["rollback"]
    assert rollback["ready"] is False
    assert "bin/api: changed" in rollback["reason"]
    wait_for(lambda: report(serving).get("rollback") == rollback, 30, "the report to say so")


def test_what_serves_is_meddled_with(serving):
    """`current`, the document of what serves, all that musterd has of the app: it goes on serving, and is put right again."""
    instance, folder = serving.instance, "/var/lib/muster/apps/api"
    invocation = instance.run("systemctl", "show", "-P", "InvocationID", "api.service").text
    named = serving.current()
    for meddling in (f"rm {CURRENT}", f"ln -sfn releases/9.9-0123456789ab {CURRENT}", f"ln -sfn /etc {CURRENT}",
                     f"rm {CURRENT}; mkdir {CURRENT}; touch {CURRENT}/mine"):
        instance.sh(meddling)
        wait_for(lambda: serving.current() == named, 30, f"current to be put back after: {meddling}")
    assert instance.run("ls", f"{folder}/current.bad").text == "mine"
    told = [m for m in instance.messages(unit="musterd.service") if "current did not name release 2.0.0" in m]
    assert len(told) == 4

    # The document of what serves is no reason to take what serves away.
    instance.sh(f"rm {folder}/{named}.json; systemctl restart musterd")
    wait_checked(serving, "failed")
    instance.run("test", "-x", f"{CURRENT}/bin/api")
    assert instance.run("systemctl", "show", "-P", "InvocationID", "api.service").text == invocation
    serving.set_target("1.0.0")
    serving.wait_app(state="good", version="1.0.0")
    serving.set_target("2.0.0")
    serving.wait_app(state="good", version="2.0.0")  # fetched anew
    wait_checked(serving)

    # What serves is gone from the disk: it comes anew. So it does if all is gone.
    for what in (f"{folder}/releases/2.0.0-*", folder):
        instance.sh(f"rm -r {what}")
        wait_for(lambda: instance.run("test", "-x", f"{CURRENT}/bin/api", check=False).code == 0, 60, f"{what} to be back")
        serving.wait_app(state="good", version="2.0.0")
        assert "2.0.0" in serving.serves()


def small_site(new_instance, tmp_path, size="256M", config="", *mkfs):
    """A site whose state lies on a small disk, and on which 1.0.0 serves."""
    instance = new_instance()
    instance.use_state_disk(size, *mkfs)
    instance.boot()
    site = Site(instance, tmp_path)
    site.publish("1.0.0")
    site.set_target("1.0.0")
    site.configure_agent(config)
    site.wait_app(state="good", version="1.0.0")
    return site


def releases(site):
    names = site.instance.run("ls", RELEASES).out.split()
    return sorted(name.rsplit("-", 1)[0] for name in names if not name.endswith((".json", ".tree")))


def deploy(site, version, **switches):
    site.publish(version, **switches)
    site.set_target(version)
    site.wait_app(state="good", version=version)


def free(site):
    """Bytes and inodes."""
    return tuple(map(int, site.instance.sh("df --output=avail,iavail -B1 /var/lib/muster | tail -1").text.split()))


def refused(site, version):
    return wait_for(lambda: (failure := site.app()["last_failure"]) and failure["version"] == version and failure, 60,
                    f"release {version} to be refused")


def test_disk_that_is_full(new_instance, tmp_path):
    """Nothing is downloaded for which there is no room; one line says what is needed and what is there; it goes on by
    itself."""
    site = small_site(new_instance, tmp_path, "96M")
    site.instance.sh("dd if=/dev/zero of=/var/lib/muster/ballast bs=1M count=200 2>/dev/null || true")
    site.publish("2.0.0")
    site.set_target("2.0.0")
    failure = refused(site, "2.0.0")
    assert failure["step"] == "VERIFY"
    assert failure["fault"] == "host"
    assert re.search(r"not enough space: the release needs [\d.]+ MiB, [\d.]+ .?i?B are free, of which [\d.]+ MiB stay "
                     "reserved", failure["reason"])
    assert "1.0.0" in site.serves()
    site.instance.run("rm", "/var/lib/muster/ballast")
    site.wait_app(state="good", version="2.0.0", timeout=90)


def test_no_inodes_left(new_instance, tmp_path):
    """Inodes are admitted as bytes are."""
    site = small_site(new_instance, tmp_path, "96M", "", "-N", "1024")
    site.instance.sh("mkdir /var/lib/muster/ballast; cd /var/lib/muster/ballast; i=0; "
                     "while touch $i 2>/dev/null; do i=$((i + 1)); done; rm 1 2 3 4 5 6 7 8 9")
    site.publish("2.0.0")
    site.set_target("2.0.0")
    failure = refused(site, "2.0.0")
    assert failure["fault"] == "host"
    assert "not enough inodes: the release needs " in failure["reason"]
    assert "1.0.0" in site.serves()
    site.instance.run("rm", "-r", "/var/lib/muster/ballast")
    site.wait_app(state="good", version="2.0.0", timeout=90)


def test_old_releases_make_room(new_instance, tmp_path):
    """Where there is no room, what nothing needs goes first; what serves and what the way back needs stay."""
    site = small_site(new_instance, tmp_path, "96M")
    for version in ("2.0.0", "3.0.0"):
        deploy(site, version)
    wait_for(lambda: releases(site) == ["1.0.0", "2.0.0", "3.0.0"], 30, "three releases")
    size = int(site.instance.sh(f"du -sB1 {CURRENT}/ | cut -f1").text)
    reserve = 96 * 2**20 // 20
    site.instance.sh(f"head -c {free(site)[0] - reserve - size // 2} /dev/zero >/var/lib/muster/ballast")
    deploy(site, "4.0.0")
    wait_for(lambda: releases(site) == ["2.0.0", "3.0.0", "4.0.0"], 30, "the oldest to be gone")
    assert "make room" in site.instance.run("journalctl", "-u", "musterd").out


def test_retention_spares_what_drains(new_instance, tmp_path):
    """However little is to be kept: what serves, the way back, and what a process still runs from, stay."""
    site = small_site(new_instance, tmp_path, "256M", "keep_releases = 1\n")
    old = site.instance.run("sh", "-c", f"cd $(readlink -f {CURRENT}) && exec setsid sleep 4244 </dev/null >/dev/null 2>&1 "
                            "& echo $!").text
    assert old
    for version in ("2.0.0", "3.0.0", "4.0.0"):
        deploy(site, version)
    wait_for(lambda: releases(site) == ["1.0.0", "3.0.0", "4.0.0"], 30, "2.0.0 to be gone")
    wait_no_staging(site)
    site.instance.run("kill", old)
    deploy(site, "5.0.0")
    wait_for(lambda: releases(site) == ["4.0.0", "5.0.0"], 30, "1.0.0 to be gone")


def test_retention_by_bytes(new_instance, tmp_path):
    """And what a crash left half removed is removed at the next start."""
    site = small_site(new_instance, tmp_path, "256M", "keep_bytes = 1M\n")
    for version in ("2.0.0", "3.0.0"):
        deploy(site, version)
    wait_for(lambda: releases(site) == ["2.0.0", "3.0.0"], 30, "1.0.0 to be gone")
    site.instance.run("systemctl", "stop", "musterd")
    site.instance.sh("cd /var/lib/muster/apps/api; mkdir -p staging/removed-1/deep; touch staging/removed-1/deep/x; "
                     "mkdir releases/9.9-0123456789ab; touch releases/8.8-0123456789ab.tree")
    site.instance.run("systemctl", "start", "musterd")
    wait_no_staging(site)
    wait_for(lambda: "-0123456789ab" not in site.instance.run("ls", RELEASES).out, 30, "the halves to be gone")


@pytest.mark.parametrize("what", ["bytes", "names", "hidden"])
def test_unpacker_that_fills_the_disk(new_instance, tmp_path, what):
    """An archive that has taken muster-unpack over (here: another program in its place) cannot fill the file system."""
    site = small_site(new_instance, tmp_path, "4G")
    instance = site.instance
    subprocess.run(["make", "--no-print-directory", "-s", "test-programs"], cwd=TOP, check=True)
    instance.put("/usr/lib/muster/muster-unpack", TOP / "build/gcc/sandbox-probe", mode=0o755)
    instance.put("/usr/lib/muster/fill", what)
    most = free(site)
    instance.put("/srv/least", "while :; do df --output=avail,iavail -B1 /var/lib/muster | tail -1; sleep 0.05; done >/srv/df\n")
    watcher = instance.run("sh", "-c", "setsid sh /srv/least </dev/null >/dev/null 2>&1 & echo $!").text
    site.publish("2.0.0")
    site.set_target("2.0.0")
    failure = refused(site, "2.0.0")
    instance.run("kill", watcher)
    assert failure["step"] == "FETCH"
    assert failure["fault"] == "release"
    assert "muster-unpack has written more than the release says" in failure["reason"]
    least = [min(column) for column in zip(*(map(int, line.split()) for line in instance.run("cat", "/srv/df").out.splitlines()))]
    print(f"{what}: {(most[0] - least[0]) >> 20} MiB and {most[1] - least[1]} inodes were taken")
    # On this machine a second of writing is a gigabyte; the watch takes a few tenths of one.
    assert least[0] > most[0] // 4 and least[1] > most[1] // 4
    assert "1.0.0" in site.serves()
    wait_no_staging(site)


def test_state_must_be_one_file_system(instance, tmp_path):
    """A release comes into the store by one rename."""
    site = Site(instance, tmp_path)
    site.publish("1.0.0")
    site.set_target("1.0.0")
    instance.sh("mkdir -p /var/lib/muster/apps/api/staging; mount -t tmpfs tmpfs /var/lib/muster/apps/api/staging")
    site.configure()
    wait_for(lambda: "must lie on one file system" in json.dumps(site.status()), 30, "the mount to be refused")
    instance.run("umount", "/var/lib/muster/apps/api/staging")
    site.wait_app(state="good", version="1.0.0")
