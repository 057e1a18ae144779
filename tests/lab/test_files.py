"""What releases install outside of their folder: brought, replaced, taken back, on a booted instance."""

import os

import pytest
from rig.host import wait_for
from rig.site import Site

APPSPEC = """version: 0.0
os: linux
files:
  - source: web
    destination: /srv/www/html
  - source: conf/app.conf
    destination: /etc/app
file_exists_behavior: OVERWRITE
permissions:
  - object: /srv/www/html
    pattern: "*.sh"
    owner: www-data
    group: www-data
    mode: 0750
    type: [file]
hooks:
  ValidateService:
    - location: validate
"""


def build(folder, version, files, bad=False):
    """An app folder of these files, whose content is the version and their name."""
    top = folder / f"api-{version}"
    texts = {name: f"{version} {name}\n" for name in files}
    texts |= {"appspec.yml": APPSPEC, "conf/app.conf": f"{version}\n", "validate": f"#!/bin/sh\nexit {int(bad)}\n"}
    for name, text in texts.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if name == "validate" else 0o644)
    return top


@pytest.fixture
def site(instance, tmp_path):
    return Site(instance, tmp_path)


def look(site):
    """What lies in the places: mode, owner and path of everything."""
    return sorted(site.instance.sh("find /srv/www /etc/app -printf '%M %u %p\\n' 2>/dev/null || true").out.splitlines())


def settled(site):
    return site.instance.sh("ls /var/lib/muster/apps/api/files 2>/dev/null || true").out.split() in ([], ["installed"])


def test_files(site, tmp_path):
    site.instance.sh("mkdir -p /etc/app && echo theirs >/etc/app/theirs")
    site.publish_folder(build(tmp_path, "1.0.0", ["web/a", "web/run.sh", "web/gone/b"]), "1.0.0")
    site.publish_folder(build(tmp_path, "2.0.0", ["web/a", "web/new/c"]), "2.0.0")
    site.publish_folder(build(tmp_path, "3.0.0", ["web/a", "web/bad"], bad=True), "3.0.0")
    site.configure()
    site.set_target("1.0.0")
    site.wait_app(state="good", version="1.0.0")
    wait_for(lambda: settled(site), 10, "the journal to be gone")
    assert look(site) == [
        "-rw-r--r-- root /etc/app/app.conf", "-rw-r--r-- root /etc/app/theirs", "-rw-r--r-- root /srv/www/html/a",
        "-rw-r--r-- root /srv/www/html/gone/b", "-rwxr-x--- www-data /srv/www/html/run.sh", "drwxr-xr-x root /etc/app",
        "drwxr-xr-x root /srv/www", "drwxr-xr-x root /srv/www/html", "drwxr-xr-x root /srv/www/html/gone"]

    site.set_target("2.0.0")
    site.wait_app(state="good", version="2.0.0")
    wait_for(lambda: settled(site), 10, "the journal to be gone")
    second = look(site)
    assert [line.split()[2] for line in second] == [
        "/etc/app/app.conf", "/etc/app/theirs", "/srv/www/html/a", "/srv/www/html/new/c", "/etc/app", "/srv/www",
        "/srv/www/html", "/srv/www/html/new"]
    assert site.instance.sh("cat /srv/www/html/a /etc/app/app.conf").out == "2.0.0 web/a\n2.0.0\n"

    site.set_target("3.0.0")
    app = site.wait_app(state="held", version="2.0.0")
    assert "release 3.0.0 failed in VALIDATE_SERVICE" in app["reason"]
    wait_for(lambda: settled(site), 10, "the journal to be gone")
    assert look(site) == second
    assert site.instance.sh("cat /srv/www/html/a /etc/app/app.conf").out == "2.0.0 web/a\n2.0.0\n"


ODDITIES = """version: 0.0
os: linux
files:
  - source: web
    destination: /srv/linked
    mode: link
  - source: web
    destination: {destination}
permissions:
  - object: {destination}
    acls: ["u:www-data:rw"]
    mode: 0660
    type: [file]
hooks:
  BeforeInstall:
    - location: before
  AfterInstall:
    - location: after
"""


def odd(folder, version, destination="/srv/plain", before="exit 0", after="exit 0"):
    """With a folder that is a link into the release, access control lists, and hooks that get in the way."""
    top = build(folder, version, ["web/a", f"web/{version}"])
    for name, text in {"appspec.yml": ODDITIES.format(destination=destination), "before": f"#!/bin/sh\n{before}\n",
                       "after": f"#!/bin/sh\n{after}\n"}.items():
        (top / name).write_text(text)
        (top / name).chmod(0o755)
    return top


def installed(site, folder):
    """The files and what is in them, without what is kept beside them during a change."""
    return site.instance.sh(f"cd {folder} && grep -r --exclude='.muster-*' '' . | sort").out.splitlines()


def failed(site, version):
    wait_for(lambda: (site.app()["last_failure"] or {}).get("version") == version, 20, f"{version} to fail")


def refused(site, version, words):
    """The deployment fails by the release's own fault, and what was there is there."""
    failed(site, version)
    failure = site.wait_app(state="held", version="1.0.0")["last_failure"]
    assert (failure["version"], failure["fault"], failure["step"]) == (version, "release", "SWITCH"), failure
    assert words in failure["reason"]
    wait_for(lambda: settled(site), 10, "the journal to be gone")
    assert installed(site, "/srv/plain") == ["./1.0.0:1.0.0 web/1.0.0", "./a:1.0.0 web/a"]
    assert installed(site, "/srv/linked/") == ["./1.0.0:1.0.0 web/1.0.0", "./a:1.0.0 web/a"]


def test_what_is_in_the_way(site, tmp_path):
    releases = {"1.0.0": {}, "2.0.0": {"destination": "/srv/theirs"}, "3.0.0": {"destination": "/var/lib/muster/apps"},
                "4.0.0": {"destination": "/srv/shared/link"}, "5.0.0": {"before": "rm -rf /srv/plain", "after": "exit 1"}}
    for version, how in releases.items():
        site.publish_folder(odd(tmp_path, version, **how), version)
    site.instance.sh("mkdir -p /srv/theirs /srv/shared && echo theirs >/srv/theirs/a && ln -s /etc /srv/shared/link &&"
                     "chown -h www-data /srv/shared/link")
    site.configure()
    site.set_target("1.0.0")
    site.wait_app(state="good", version="1.0.0")
    root = site.instance.root
    assert (root / "srv/linked").readlink().as_posix() == "/var/lib/muster/apps/api/current/web"
    assert len(os.getxattr(root / "srv/plain/a", "system.posix_acl_access")) == 4 + 5 * 8
    assert (root / "srv/plain/a").stat().st_mode & 0o777 == 0o660
    wait_for(lambda: settled(site), 10, "the journal to be gone")
    site.muster("verify", "--installed")

    site.set_target("2.0.0")
    refused(site, "2.0.0", "/srv/theirs/a is there already, and was not installed by muster")
    site.set_target("3.0.0")
    refused(site, "3.0.0", "where muster keeps its state")
    site.set_target("4.0.0")
    wait_for(lambda: "/srv/shared/link is a symbolic link that others than root can change" in str(site.app()["last_failure"]),
             20, "the link to be refused")
    assert not (root / "etc/a").exists()

    site.set_target("5.0.0")  # its hook removes everything before it fails
    failed(site, "5.0.0")
    site.wait_app(state="held", version="1.0.0")
    wait_for(lambda: settled(site), 10, "the journal to be gone")
    assert installed(site, "/srv/plain") == ["./1.0.0:1.0.0 web/1.0.0", "./a:1.0.0 web/a"]


def test_power_cut(site, tmp_path):
    """At boot what was there is there again before musterd runs, which then goes on."""
    site.publish_folder(odd(tmp_path, "1.0.0"), "1.0.0")
    site.publish_folder(odd(tmp_path, "2.0.0", after="test -e /srv/once || { touch /srv/once; sleep 1000; }"), "2.0.0")
    site.configure()
    site.set_target("1.0.0")
    site.wait_app(state="good", version="1.0.0")
    site.set_target("2.0.0")
    wait_for(lambda: (site.instance.root / "srv/once").exists(), 20, "the hook to run")
    assert installed(site, "/srv/plain") == ["./2.0.0:2.0.0 web/2.0.0", "./a:2.0.0 web/a"]
    site.instance.run("systemctl", "disable", "musterd.service")
    site.instance.pull_plug()
    site.instance.boot()
    assert installed(site, "/srv/plain") == ["./1.0.0:1.0.0 web/1.0.0", "./a:1.0.0 web/a"]
    assert installed(site, "/srv/linked/") == ["./1.0.0:1.0.0 web/1.0.0", "./a:1.0.0 web/a"]
    site.instance.run("systemctl", "start", "musterd.service")
    site.wait_app(state="good", version="2.0.0")
    wait_for(lambda: settled(site), 10, "the journal to be gone")
    assert site.instance.sh("find / -xdev -name '.muster-*' 2>/dev/null || true").out == ""
