"""muster publish, on a depot in a folder."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from rig.desk import APPSPEC, CONFLICT, DENIED, FAILED, INPUT, NOT_FOUND, OK


# Publishing


def test_publish(desk):
    desk.trust()
    desk.app()
    told = desk.json("publish", "app", "--app", "api", "--version", "1.0", "--key", "release.key")
    assert told["published"] and told["artifacts"][0]["uploaded"]
    artifact = f"apps/api/artifacts/{told['artifacts'][0]['sha256']}.tar.zst"
    assert set(desk.depot()) == {"apps/api/releases/1.0.json", artifact}
    assert hashlib.sha256(desk.depot()[artifact]).hexdigest() == told["artifacts"][0]["sha256"]
    release = desk.payload("apps/api/releases/1.0.json")
    assert release["hooks"]["AfterInstall"][0]["location"] == "hooks/migrate"
    assert release["artifacts"]["any"]["entries"] == 7
    shown = desk.json("show", "release", "--app", "api", "--version", "1.0")
    assert shown == {"sha256": told["sha256"], "release": release}
    text = desk.ok("show", "release", "--app", "api", "--version", "1.0")
    for word in ("api 1.0", "any", "tar.zst", "hooks/migrate", "api.service", "127.0.0.1:8080", "GOMAXPROCS=4"):
        assert word in text
    assert "good" in desk.ok("verify", "--app", "api", "--version", "1.0")


def test_publish_is_reproducible(shop):
    other = shop.app("other")
    for path in other.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o775 if path.is_dir() or path.stat().st_mode & 0o100 else 0o664)
    shop.publish("1.1", source="other")
    one, two = (shop.payload(f"apps/api/releases/{version}.json")["artifacts"] for version in ("1.0", "1.1"))
    assert one == two


def test_publish_again(shop):
    before = shop.depot()
    assert "already" in shop.publish("1.0")
    told = shop.json("publish", "app", "--app", "api", "--version", "1.0", "--key", "release.key")
    assert not told["published"] and not told["artifacts"][0]["uploaded"]
    assert shop.depot() == before
    (shop.folder / "app/bin/api").write_text("another program\n")
    shop.fails(CONFLICT, "api 1.0 is published already, with another content", "publish", "app", "--app", "api",
               "--version", "1.0", "--key", "release.key")
    assert shop.depot() == before


def test_publish_heals_a_missing_artifact(shop):
    before = shop.depot()
    for path in (shop.folder / "depot/apps/api/artifacts").iterdir():
        path.unlink()
    shop.fails(NOT_FOUND, "does not have this artifact", "verify", "--app", "api", "--version", "1.0")
    shop.publish("1.0")
    assert shop.depot() == before


def test_publish_platforms(shop):
    arm = shop.app("arm")
    (arm / "bin/api").write_text("arm program\n")
    shop.ok("publish", "--app", "api", "--version", "2.0", "--key", "release.key", "--platform", "linux/amd64=app",
            "--platform", "linux/arm64=arm")
    assert set(shop.payload("apps/api/releases/2.0.json")["artifacts"]) == {"linux/amd64", "linux/arm64"}
    shop.publish("2.1", "--platform", "linux/arm64", source="arm")
    assert set(shop.payload("apps/api/releases/2.1.json")["artifacts"]) == {"linux/arm64"}
    (arm / "appspec.yml").write_text(APPSPEC + "  MORE: 1\n")
    publish = ["publish", "--app", "api", "--version", "2.2", "--key", "release.key", "--platform", "linux/amd64=app"]
    shop.fails(INPUT, "appspec.yml of arm differs from that of app", *publish, "--platform", "linux/arm64=arm")
    shop.ok(*publish, "--platform", "linux/arm64=arm", "--appspec", "app/appspec.yml")
    shop.fails(INPUT, "sparc", *publish, "--platform", "sparc=arm", "--appspec", "app/appspec.yml")
    shop.fails(CONFLICT, "linux/amd64", *publish, "--platform", "linux/amd64=app")
    shop.fails(INPUT, "linux/amd64=DIR", *publish, "--platform", "linux/arm64")


def archive(shop, kind):
    path = shop.folder / f"bundle.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for file in sorted((shop.folder / "app").rglob("*")):
                zipped.write(file, file.relative_to(shop.folder / "app"))
    elif kind == "tar.zst":
        subprocess.run(f"tar -C app -c . | zstd -q >{path}", shell=True, cwd=shop.folder, check=True)
    else:
        with tarfile.open(path, f"w:{kind.partition('.')[2]}") as tar:
            tar.add(shop.folder / "app", ".")
    return path


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz", "tar.zst"])
def test_publish_archive_as_it_is(shop, kind):
    path = archive(shop, kind)
    told = shop.json("publish", path.name, "--app", "api", "--version", "2.0", "--key", "release.key")
    assert told["artifacts"][0]["format"] == kind
    key = f"apps/api/artifacts/{told['artifacts'][0]['sha256']}.{kind}"
    assert shop.depot()[key] == path.read_bytes()
    assert "good" in shop.ok("verify", "--app", "api", "--version", "2.0")


@pytest.mark.parametrize("kind", ["folder", "tar.zst"])
def test_publish_reload_that_cannot_be(shop, kind):
    """on_deploy: reload, and nothing in the unit file that would reload."""
    unit = shop.folder / "app/units/api.service"
    publish = ["publish", "--app", "api", "--key", "release.key", "--dry-run", "--version", "2.0"]
    source = "app" if kind == "folder" else f"bundle.{kind}"
    for number, (text, warned) in enumerate((
            ("[Service]\nExecStart=/bin/true\nExecReload=\n[Install]\nExecReload=/bin/true\n", True),
            ("[Service]\nType=notify-reload\nExecStart=/bin/true\n", False),
            ("[Service]\nExecStart=/bin/true\nExecReload=\\\n /bin/true\n", False),
            ("[Service]\n" + "# why\n" * 2000 + "ExecStart=/bin/true\n", False))):  # too long to be looked through
        unit.write_text(text)
        if kind != "folder":
            archive(shop, kind)
        done = shop.run(*publish, source)
        assert done.returncode == OK
        assert done.stderr == (f"muster: warning: {source}/appspec.yml:9: units[0].file: units/api.service: it has no ExecReload=, and "
                               "on_deploy is reload: every deployment but the first fails\n" if warned else ""), number


def test_publish_dry_run(desk):
    desk.app()
    without = {"MUSTER_DEPOT": None, "MUSTER_ROOT": None}
    assert "nothing was sent" in desk.ok("publish", "app", "--app", "api", "--version", "1.0", "--dry-run", env=without)
    told = desk.json("publish", "app", "--app", "api", "--version", "1.0", "--dry-run", env=without)
    assert not told["published"] and re.fullmatch("[0-9a-f]{64}", told["sha256"])
    assert [path.name for path in desk.folder.iterdir()] == ["app"]


@pytest.mark.parametrize("appspec, pattern", [
    ("version: 0.0\nos: linux\nhooks:\n\tAfterInstall: []\n", r"appspec\.yml:4.*tab"),
    ("version: 0.0\nos: windows\n", r"appspec\.yml:2: os"),
    ("version: 0.0\nos: linux\nhoks: {}\n", r"appspec\.yml:3.*hoks"),
    ("version: 0.0\nos: linux\nfiles:\n  - source: /\n    destination: opt\n", r"appspec\.yml:5: files\[0\]\.destination: "),
    (APPSPEC.replace("hooks/migrate", "hooks/gone"),
     r"appspec\.yml:5: hooks\.AfterInstall\[0\]\.location: there is no file hooks/gone"),
    (APPSPEC.replace("units/api.service", "units/gone.service"),
     r"appspec\.yml:9: units\[0\]\.file: there is no file units/gone\.service"),
    (APPSPEC.replace("hooks/migrate", "../migrate"), r"location"),
    ("[1, 2]\n", r"appspec\.yml"),
    ("", r"appspec\.yml: there is nothing in it"),
    (None, r"has no appspec\.yml at its root"),
])
@pytest.mark.parametrize("packed", [False, True])
def test_appspec_refused(shop, appspec, pattern, packed):
    before = shop.depot()
    (shop.folder / "app/appspec.yml").unlink()
    if appspec is not None:
        (shop.folder / "app/appspec.yml").write_text(appspec)
    source = archive(shop, "zip").name if packed else "app"
    done = shop.run("publish", source, "--app", "api", "--version", "2.0", "--key", "release.key")
    assert done.returncode in (INPUT, NOT_FOUND), done
    assert re.fullmatch(r"muster: [^\n]+\n", done.stderr) and re.search(pattern, done.stderr), done.stderr
    assert shop.depot() == before


def test_publish_refuses_what_cannot_be_installed(shop):
    def refused(code, pattern, source="app"):
        shop.fails(code, pattern, "publish", source, "--app", "api", "--version", "2.0", "--key", "release.key")

    refused(NOT_FOUND, "gone", "gone")
    (shop.folder / "text").write_text("no archive")
    refused(INPUT, "text: .*archive", "text")
    with tarfile.open(shop.folder / "evil.tar", "w") as tar:
        tar.add(shop.folder / "app/appspec.yml", "../appspec.yml")
    refused(INPUT, r"evil\.tar: archive entry \"\.\./appspec\.yml\"", "evil.tar")
    os.symlink("/etc/passwd", shop.folder / "app/out")
    refused(INPUT, "out")
    (shop.folder / "app/out").unlink()
    os.mkfifo(shop.folder / "app/fifo")
    refused(INPUT, "fifo")
    refused(INPUT, "fifo: expected a folder, or a file that is an archive", "app/fifo")
    refused(INPUT, "/dev/null: expected a folder", "/dev/null")


def test_fifo_is_not_waited_for(shop):
    """Nobody writes to it: that is said, at once."""
    os.mkfifo(shop.folder / "fifo")
    publish = ("publish", "app", "--app", "api", "--version", "2.0")
    shop.fails(INPUT, "fifo", *publish, "--key", "fifo")
    shop.fails(INPUT, "fifo", *publish, "--key", "release.key", "--appspec", "fifo")
    (shop.folder / "app/appspec.yml").unlink()
    (shop.folder / "fifo").rename(shop.folder / "app/appspec.yml")
    shop.fails(INPUT, r"appspec\.yml", *publish, "--key", "release.key")


def test_wrong_key_is_told_before_anything_is_sent(shop):
    before = shop.depot()
    shop.fails(DENIED, "release", "publish", "app", "--app", "api", "--version", "2.0", "--key", "target.key")
    assert shop.depot() == before


def test_wrong_depot(shop):
    publish = ["publish", "app", "--app", "api", "--version", "2.0", "--key", "release.key", "--depot"]
    shop.fails(NOT_FOUND, "/no/such/folder", *publish, "file:///no/such/folder")
    for uri in ("ftp://host/x", "folder", "s3://", "file://relative"):
        shop.fails(INPUT, "expected|depot", *publish, uri)


def test_two_publishers_at_once(desk):
    """Many with the same content all succeed; of many with different contents exactly one does."""
    desk.trust()
    for i in range(6):
        (desk.app(f"app{i}") / "bin/api").write_text(f"program {i}\n")

    def race(sources, version):
        running = [subprocess.Popen(desk.command("publish", source, "--app", "api", "--version", version, "--key",
                                                 "release.key"), cwd=desk.folder, env=desk.environment,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for source in sources]
        said = [process.communicate()[1] for process in running]
        return [process.returncode for process in running], said

    codes, _ = race(["app0"] * 6, "1.0")
    assert codes == [OK] * 6
    codes, said = race([f"app{i}" for i in range(6)], "2.0")
    assert sorted(codes) == [OK] + [CONFLICT] * 5
    assert sum("with another content" in line for line in said) == 5
    winner = codes.index(OK)
    assert "good" in desk.ok("verify", "--app", "api", "--version", "2.0")
    assert "already" in desk.publish("2.0", source=f"app{winner}")


@pytest.mark.parametrize("call", ["rename", "renameat2", "linkat", "fsync", "pwrite64", "write"])
def test_killed_while_publishing(desk, call):
    """Killed at each of its system calls that change the depot; publishing again finishes it."""
    if not shutil.which("strace"):
        pytest.skip("no strace")
    desk.trust()
    (desk.app() / "bin/blob").write_bytes(os.urandom(300_000))
    for when in range(1, 8):
        version = f"1.{when}"
        done = subprocess.run(["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                               f"inject={call}:signal=KILL:when={when}",
                               *desk.command("publish", "app", "--app", "api", "--version", version, "--key", "release.key")],
                              cwd=desk.folder, env=desk.environment, capture_output=True, text=True, check=False)
        killed = done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
        releases = desk.depot("apps/api/releases/*.json")
        if f"apps/api/releases/{version}.json" in releases:
            assert "good" in desk.ok("verify", "--app", "api", "--version", version)
        desk.publish(version)
        assert "good" in desk.ok("verify", "--app", "api", "--version", version)
        if not killed:
            assert done.returncode == OK, done
            break
    litter = [path for path in (desk.folder / "depot").rglob("*") if path.is_file() and path.stat().st_size == 0
              and not path.name.startswith(".")]
    assert litter == []


def test_secrets_stay_secret(shop):
    """Neither arguments nor output nor what the process shows of itself has the key while it runs."""
    pem = (shop.folder / "release.key").read_text()
    secret = "".join(pem.splitlines()[1:-1])
    (shop.folder / "app/bin/blob").write_bytes(os.urandom(30_000_000))
    process = subprocess.Popen(shop.command("-v", "publish", "app", "--app", "api", "--version", "3.0"), cwd=shop.folder,
                               env={**shop.environment, "MUSTER_RELEASE_KEY": pem}, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    seen, late_environment = "", ""
    while process.poll() is None:
        try:
            seen += Path(f"/proc/{process.pid}/cmdline").read_text()
            late_environment = Path(f"/proc/{process.pid}/environ").read_text() or late_environment
        except OSError:
            break
        time.sleep(0.01)
    out, err = process.communicate()
    assert process.returncode == OK, err
    assert "publish" in seen and secret not in seen
    assert secret not in out + err
    assert secret not in late_environment
    assert all(secret.encode() not in value for value in shop.depot().values())


@pytest.fixture
def mount_point(tmp_path):
    """A file system with next to no space."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "muster-lab", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_no_space_to_pack(shop, mount_point):
    """What is full is named, and how to go round it."""
    (shop.folder / "app/blob").write_bytes(os.urandom(1 << 20))
    before = shop.depot()
    shop.fails(FAILED, f"no space left in {mount_point} to pack it there; TMPDIR names", "publish", "app", "--app", "api",
               "--version", "2.0", "--key", "release.key", env={"TMPDIR": str(mount_point)})
    assert shop.depot() == before
