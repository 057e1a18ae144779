"""What releases install outside of their folder: brought, replaced, taken back, on a booted instance."""

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
