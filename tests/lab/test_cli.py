"""muster, the command, as its users call it: a depot in a folder, a private bus with a mock of musterd. Boots nothing."""

import base64
import fcntl
import hashlib
import json
import os
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import tarfile
import termios
import threading
import time
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / "build/gcc"

OK, FAILED, USAGE, INPUT, DENIED, NOT_FOUND, CONFLICT, UNREACHABLE = range(8)

APPSPEC = """\
version: 0.0
os: linux
hooks:
  AfterInstall:
    - location: hooks/migrate
      timeout: 300
units:
  - name: api.service
    file: units/api.service
    on_deploy: reload
health:
  - type: tcp
    address: 127.0.0.1:8080
env:
  GOMAXPROCS: 4
"""


@pytest.fixture(scope="session", autouse=True)
def built():
    subprocess.run(["make", "--no-print-directory", "-s", "all", "test-programs"], cwd=TOP, check=True)


class Desk:
    """Somebody with the command at hand: keys, a trust root, a depot and an app in a folder of their own."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "MUSTER_CONFIG": str(folder / "muster.conf"),
            "MUSTER_ROOT": str(folder / "root.json"),
            "MUSTER_DEPOT": f"file://{folder}/depot",
            "DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={folder}/no-bus",
        }

    def command(self, *words):
        return [str(BUILD / "muster"), *map(str, words)]

    def run(self, *words, env=None, **options):
        environment = {name: value for name, value in {**self.environment, **(env or {})}.items() if value is not None}
        return subprocess.run(self.command(*words), cwd=self.folder, env=environment, text=True, capture_output=True,
                              timeout=60, check=False, **options)

    def ok(self, *words, **options):
        """Runs the command, which must succeed without a word on standard error; its output."""
        done = self.run(*words, **options)
        assert (done.returncode, done.stderr) == (OK, ""), (words, done)
        return done.stdout

    def json(self, *words, **options):
        return json.loads(self.ok(*words, "--json", **options))

    def fails(self, code, pattern, *words, **options):
        """Runs the command, which must end with the code and say one line that the pattern is found in."""
        done = self.run(*words, **options)
        assert done.returncode == code, (words, done)
        assert re.fullmatch(r"muster: [^\n]+\n", done.stderr), done.stderr
        assert re.search(pattern, done.stderr), done.stderr
        assert done.stdout == ""
        return done.stderr

    def keys(self):
        for role in ("root", "release", "target", "freshness"):
            self.ok("key", "generate", "--out", f"{role}.key", "--public-out", f"{role}.pub")
        return self

    def trust(self, *words):
        self.keys()
        (self.folder / "depot").mkdir()
        self.ok("root", "init", "--root-key", "root.key", "--release-key", "release.pub", "--target-key", "target.pub",
                "--out", "root.json", *words)
        return self

    def app(self, name="app", appspec=APPSPEC):
        folder = self.folder / name
        for path, text in {"appspec.yml": appspec, "hooks/migrate": "#!/bin/sh\nexit 0\n",
                           "units/api.service": "[Service]\nExecStart=/bin/true\n", "bin/api": "program\n"}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        (folder / "hooks/migrate").chmod(0o755)
        return folder

    def publish(self, version, *words, source="app", **options):
        return self.ok("publish", source, "--app", "api", "--version", version, "--key", "release.key", *words, **options)

    def set(self, version, *words, group="prod", **options):
        return self.ok("target", "set", "--app", "api", "--group", group, "--version", version, "--key", "target.key",
                       *words, **options)

    def depot(self, pattern="**/*"):
        """What lies in the depot, by key."""
        top = self.folder / "depot"
        return {str(path.relative_to(top)): path.read_bytes() for path in top.glob(pattern)
                if path.is_file() and not path.name.startswith(".")}

    def payload(self, key):
        return json.loads(base64.b64decode(json.loads((self.folder / "depot" / key).read_bytes())["payload"]))


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


@pytest.fixture
def shop(desk):
    """A desk with keys, root, depot and an app, and version 1.0 published."""
    desk.trust()
    desk.app()
    desk.publish("1.0")
    return desk


# The frame


def verbs(desk, *path):
    """Every command that completion knows, as tuples of words."""
    found = []
    for word in desk.ok("__complete", *path, "").split():
        if word.startswith(":"):
            return [path]
        found += verbs(desk, *path, word)
    return found or [path]


def test_every_command_explains_itself(desk):
    commands = verbs(desk)
    assert ("key", "generate") in commands and ("publish",) in commands and len(commands) > 15
    for command in commands:
        text = desk.ok(*command, "--help")
        assert text.startswith(f"muster {' '.join(command)} - ")
        for part in ("Usage:", "Options of every command:", "Examples:", "--help"):
            assert part in text, (command, part)
        assert desk.ok("help", *command) == text
        assert max(map(len, text.partition("Examples:")[0].splitlines())) <= 80
    assert re.fullmatch(r"muster \d+\.\d+\.\d+\n", desk.ok("--version"))


def test_alone_it_shows_help_and_fails(desk):
    done = desk.run()
    assert (done.returncode, done.stdout) == (USAGE, "")
    assert "publish" in done.stderr


def examples(text):
    return [line.strip() for line in text.replace("\\\n", " ").partition("Examples:")[2].splitlines()
            if line.strip() and not line.strip().startswith("#")]


def test_examples_use_what_there_is(desk):
    """Every option in an example is one of the command."""
    for command in verbs(desk):
        for line in examples(desk.ok(*command, "--help")):
            words = line.partition("muster ")[2].partition(" |")[0].split()
            assert tuple(words[:len(command)]) == command, line
            known = desk.ok("__complete", *command, "--").split()
            for word in words[len(command):]:
                if word.startswith("--"):
                    assert word.partition("=")[0] in known, (line, word)


@pytest.mark.parametrize("words, pattern", [
    (["pubish"], 'did you mean "muster publish"'),
    (["key", "genarate"], 'did you mean "muster key generate"'),
    (["status", "--jsn"], "did you mean --json"),
    (["publish", "app", "--ap", "api"], "did you mean --app"),
    (["publish", "app", "--version", "1"], "--app NAME is missing"),
    (["publish", "app", "--app", "a/b", "--version", "1"], '--app is "a/b", expected'),
    (["publish", "app", "--app", "api", "--version", "../1"], '--version is "../1", expected'),
    (["publish", "--app", "api", "--version", "1", "--dry-run"], "Give a folder, an archive"),
    (["publish", "app", "two", "--app", "api", "--version", "1"], '"two" is one argument too many'),
    (["target", "set", "--app", "api", "--group", "g", "--version", "1", "--expect-serial", "x"], "expected a whole number"),
    (["deploy", "app", "--app", "api"], "--local"),
    (["verify"], "Give a FILE"),
    (["key", "show"], "an argument is missing: muster key show FILE"),
])
def test_usage_errors(desk, words, pattern):
    desk.fails(USAGE, pattern, *words)


def test_no_depot_named_anywhere(shop):
    shop.fails(USAGE, "no depot: give --depot URI, or set MUSTER_DEPOT", "show", "release", "--app", "api", "--version",
               "1.0", env={"MUSTER_DEPOT": None})


def test_depot_of_the_configuration(shop):
    (shop.folder / "muster.conf").write_text(f"[agent]\ndepot = file://{shop.folder}/depot\n[app api]\n")
    without = {"MUSTER_DEPOT": None}
    assert shop.json("show", "release", "--app", "api", "--version", "1.0", env=without)["release"]["version"] == "1.0"
    (shop.folder / "muster.conf").write_text("[agent]\ndepott = file:///x\n")
    shop.fails(INPUT, r"muster\.conf:2", "show", "release", "--app", "api", "--version", "1.0", env=without)


def test_colour_only_on_a_terminal(shop):
    def on_terminal(**extra):
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 72, 0, 0))
        subprocess.run(shop.command("root", "show"), env={**shop.environment, "TERM": "xterm", **extra}, stdout=follower,
                       check=True)
        os.close(follower)
        return os.read(leader, 65536).decode()

    assert "\033[1m" in on_terminal()
    assert "\033" not in on_terminal(NO_COLOR="1")
    assert "\033" not in on_terminal(TERM="dumb")
    assert "\033" not in shop.ok("root", "show")


def test_closed_output_is_no_success(shop):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run(shop.command("root", "show"), env=shop.environment, stdout=full, stderr=subprocess.PIPE,
                              text=True, check=False)
    assert (done.returncode, done.stderr) == (FAILED, "muster: standard output: No space left on device\n")


# Keys


def test_keys(desk):
    made = desk.json("key", "generate", "--out", "a.key", "--public-out", "a.pub")
    private, public = desk.folder / "a.key", desk.folder / "a.pub"
    assert private.stat().st_mode & 0o777 == 0o600 and public.stat().st_mode & 0o777 == 0o644
    raw = subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-outform", "DER"], check=True,
                         capture_output=True).stdout[-32:]
    assert made["id"] == hashlib.sha256(raw).hexdigest()
    shown = desk.json("key", "show", "a.key")
    assert shown["id"] == made["id"] and shown["private"] and base64.b64decode(shown["public"]) == raw
    assert not desk.json("key", "show", "a.pub")["private"]
    assert desk.ok("key", "show", "a.key", "--pem") == public.read_text()
    secret = "".join(private.read_text().splitlines()[1:-1])
    for words in (["key", "show", "a.key"], ["key", "show", "a.key", "--json"], ["-v", "key", "show", "a.key"]):
        done = desk.run(*words)
        assert secret not in done.stdout + done.stderr


def test_keys_are_never_overwritten(desk):
    desk.ok("key", "generate", "--out", "a.key", "--public-out", "a.pub")
    before = (desk.folder / "a.key").read_bytes()
    desk.fails(CONFLICT, r"a\.key exists already", "key", "generate", "--out", "a.key")
    desk.fails(CONFLICT, r"a\.pub exists already", "key", "generate", "--out", "b.key", "--public-out", "a.pub")
    desk.fails(CONFLICT, r"a\.key exists already", "key", "generate", "--out", "a.key", "--public-out", "b.pub")
    assert (desk.folder / "a.key").read_bytes() == before
    assert sorted(path.name for path in desk.folder.iterdir()) == ["a.key", "a.pub"]
    desk.fails(NOT_FOUND, "no/where", "key", "generate", "--out", "no/where")


def test_umask_cannot_open_a_key(desk):
    desk.ok("key", "generate", "--out", "a.key", preexec_fn=lambda: os.umask(0))
    assert (desk.folder / "a.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_key_that_others_can_read(shop, mode):
    (shop.folder / "release.key").chmod(mode)
    shop.fails(DENIED, r"release\.key.*chmod 600|release\.key.*0600|release\.key.*others", "publish", "app", "--app",
               "api", "--version", "1.1", "--key", "release.key")


def test_key_from_the_environment(shop):
    pem = (shop.folder / "release.key").read_text()
    shop.app("app2")
    shop.ok("publish", "app2", "--app", "api", "--version", "1.1", env={"MUSTER_RELEASE_KEY": pem})
    shop.ok("publish", "app2", "--app", "api", "--version", "1.2",
            env={"MUSTER_RELEASE_KEY_FILE": str(shop.folder / "release.key")})
    secret = "".join(pem.splitlines()[1:-1])
    for env in ({"MUSTER_RELEASE_KEY": "nonsense " + secret}, {"MUSTER_RELEASE_KEY_FILE": pem}):
        line = shop.fails(INPUT, "key", "publish", "app2", "--app", "api", "--version", "1.3", env=env)
        assert secret not in line
    line = shop.fails(INPUT, "path of a key file is expected", "publish", "app2", "--app", "api", "--version", "1.3",
                      "--key", pem)
    assert secret not in line


def test_no_key(shop):
    shop.fails(DENIED, "give --key FILE, or set MUSTER_RELEASE_KEY_FILE to a path or MUSTER_RELEASE_KEY", "publish", "app",
               "--app", "api", "--version", "1.1")
    shop.fails(DENIED, "MUSTER_TARGET_KEY", "target", "set", "--app", "api", "--group", "g", "--version", "1.0")
    shop.fails(NOT_FOUND, r"gone\.key", "publish", "app", "--app", "api", "--version", "1.1", "--key", "gone.key")


def test_another_kind_of_key(shop):
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-out", "rsa.key"], cwd=shop.folder, check=True,
                   capture_output=True)
    shop.fails(INPUT, r"rsa\.key.*Ed25519", "publish", "app", "--app", "api", "--version", "1.1", "--key", "rsa.key")
    shop.fails(INPUT, r"release\.pub is a public key", "publish", "app", "--app", "api", "--version", "1.1", "--key", "release.pub")
    shop.fails(INPUT, r"rsa\.key.*Ed25519", "key", "show", "rsa.key")


def test_keys_of_openssl_are_taken(shop):
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", "ossl.key"], cwd=shop.folder, check=True)
    (shop.folder / "ossl.key").chmod(0o600)
    assert shop.json("key", "show", "ossl.key")["private"]


# Trust roots


def test_root(desk):
    desk.trust("--expires", "30d", "--depot", f"file://{desk.folder}/depot")
    assert desk.depot() == {"root/1.json": (desk.folder / "root.json").read_bytes()}
    root = desk.json("root", "show")
    ids = {role: desk.json("key", "show", f"{role}.pub")["id"] for role in ("root", "release", "target")}
    assert {role: entry["keyids"] for role, entry in root["roles"].items() if entry["keyids"]} == {
        role: [id] for role, id in ids.items()}
    assert "must sign" in desk.ok("root", "show")
    desk.fails(CONFLICT, r"root\.json exists already", "root", "init", "--root-key", "root.key", "--release-key",
               "release.pub", "--target-key", "target.pub", "--out", "root.json")


def test_root_of_several_people(desk):
    desk.keys()
    (desk.folder / "depot").mkdir()
    for name in "ab":
        desk.ok("key", "generate", "--out", f"{name}.key", "--public-out", f"{name}.pub")
    make = ["root", "init", "--root-key", "a.key", "--root-key", "b.pub", "--threshold", "root=2", "--release-key",
            "release.key", "--target-key", "target.pub", "--out", "root.json"]
    text = desk.ok(*make)
    assert "not valid yet" in text and "muster root sign root.json" in text
    desk.fails(DENIED, r"root\.json", "root", "show")
    desk.fails(DENIED, r"root\.json", "root", "publish", "root.json")
    assert desk.depot() == {}
    desk.ok("root", "sign", "root.json", "--root-key", "b.key")
    desk.ok("root", "publish", "root.json")
    assert "already in the depot" in desk.ok("root", "publish", "root.json")
    assert desk.json("root", "show")["roles"]["root"]["threshold"] == 2
    assert "PRIVATE" not in (desk.folder / "root.json").read_text()


def test_root_rotates(shop):
    shop.ok("root", "publish", "root.json")
    shop.ok("key", "generate", "--out", "new.key", "--public-out", "new.pub")
    shop.ok("root", "rotate", "--root-key", "root.key", "--release-key", "new.pub", "--out", "root-2.json", "--depot",
            f"file://{shop.folder}/depot")
    assert "signed by its predecessor" in shop.ok("verify", "root-2.json")
    shop.fails(DENIED, "release", "show", "release", "--app", "api", "--version", "1.0", "--root", "root-2.json")
    second = shop.json("root", "show", "--root", "root-2.json")
    assert second["version"] == 2 and second["roles"]["target"] == shop.json("root", "show")["roles"]["target"]
    shop.ok("root", "rotate", "--root-key", "new.key", "--out", "forged.json")
    shop.fails(DENIED, "root", "root", "publish", "forged.json")


@pytest.mark.parametrize("words, code, pattern", [
    (["--threshold", "release=3"], INPUT, "release"),
    (["--threshold", "release"], INPUT, "release=2"),
    (["--threshold", "chief=1"], INPUT, "release=2"),
    (["--root-key", "root.pub"], DENIED, "no private key"),
    (["--release-key", "gone.pub"], NOT_FOUND, r"gone\.pub"),
    (["--release-key", "app/appspec.yml"], INPUT, "Ed25519"),
    (["--out", "no/where.json"], NOT_FOUND, "no/where.json"),
])
def test_root_refused(desk, words, code, pattern):
    desk.keys().app()
    given = {"--root-key": "root.key", "--release-key": "release.pub", "--target-key": "target.pub", "--out": "r.json",
             **dict(zip(words[::2], words[1::2]))}
    desk.fails(code, pattern, "root", "init", *[word for pair in given.items() for word in pair])
    assert not (desk.folder / "r.json").exists()


def test_no_root(shop):
    shop.fails(NOT_FOUND, r"gone\.json", "show", "release", "--app", "api", "--version", "1.0", "--root", "gone.json")
    shop.fails(INPUT, "appspec.yml", "show", "release", "--app", "api", "--version", "1.0", "--root", "app/appspec.yml")


def test_expired_root(shop):
    shop.ok("root", "init", "--root-key", "root.key", "--release-key", "release.pub", "--target-key", "target.pub",
            "--expires", "0", "--out", "old.json")
    assert "EXPIRED" in shop.ok("root", "show", "--root", "old.json")
    shop.fails(DENIED, "expired", "show", "release", "--app", "api", "--version", "1.0", "--root", "old.json")


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
    ("version: 0.0\nos: linux\nfiles:\n  - source: /\n    destination: /opt\n", r"appspec\.yml:4: files: not supported"),
    (APPSPEC.replace("hooks/migrate", "hooks/gone"), "no file hooks/gone, which AfterInstall names"),
    (APPSPEC.replace("units/api.service", "units/gone.service"), r"no file units/gone\.service, which units names"),
    (APPSPEC.replace("hooks/migrate", "../migrate"), r"location"),
    ("[1, 2]\n", r"appspec\.yml"),
    ("", r"appspec\.yml"),
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


# Targets


def test_target(shop):
    shop.app("next")
    (shop.folder / "next/bin/api").write_text("next\n")
    shop.publish("1.1", source="next")
    assert "api in prod: now 1.0 (serial 1)" in shop.set("1.0", "--env", "LOG_LEVEL=info", "--env", "A=b=c")
    assert "now 1.1 (serial 2)" in shop.set("1.1")
    assert "already 1.1 (serial 2)" in shop.set("1.1")
    target = shop.payload("apps/api/groups/prod/target.json")
    release = shop.json("show", "release", "--app", "api", "--version", "1.1")
    assert target["stable"] == {"version": "1.1", "release_sha256": release["sha256"]}
    assert target["env"] == {"LOG_LEVEL": "info", "A": "b=c"}
    shop.set("1.1", "--unset-env", "A", "--env", "LOG_LEVEL=debug")
    target = shop.payload("apps/api/groups/prod/target.json")
    assert (target["serial"], target["env"]) == (3, {"LOG_LEVEL": "debug"})
    assert shop.json("target", "show", "--app", "api", "--group", "prod")["target"] == target
    assert shop.json("show", "target", "--app", "api", "--group", "prod")["target"] == target
    text = shop.ok("target", "show", "--app", "api", "--group", "prod")
    assert "serial 3" in text and "LOG_LEVEL=debug" in text and "1.1" in text


def test_target_refused(shop):
    def refused(code, pattern, *words, version="1.0", group="prod"):
        shop.fails(code, pattern, "target", "set", "--app", "api", "--group", group, "--version", version, "--key",
                   "target.key", *words)

    refused(NOT_FOUND, "api has no version 9.9 in file://", version="9.9")
    refused(INPUT, "LOG_LEVEL=info", "--env", "nonsense")
    refused(INPUT, "env", "--env", "MUSTER_X=1")
    refused(INPUT, "env", "--env", "1A=1")
    refused(CONFLICT, "has serial 0, not 4", "--expect-serial", "4")
    shop.fails(DENIED, "signed with key .*target", "target", "set", "--app", "api", "--group", "prod", "--version", "1.0",
               "--key", "release.key")
    shop.set("1.0", "--expect-serial", "0")
    refused(CONFLICT, "has serial 1, not 0", "--expect-serial", "0")
    shop.fails(NOT_FOUND, "api has no target for the group test", "target", "show", "--app", "api", "--group", "test")
    assert shop.payload("apps/api/groups/prod/target.json")["serial"] == 1


def test_target_of_another_group(shop):
    """Somebody copies a target to where another group looks for its own."""
    shop.set("1.0")
    groups = shop.folder / "depot/apps/api/groups"
    shutil.copytree(groups / "prod", groups / "test")
    shop.fails(INPUT, 'group: expected "test", not "prod"', "target", "show", "--app", "api", "--group", "test")
    shop.fails(INPUT, 'group: expected "test", not "prod"', "target", "set", "--app", "api", "--group", "test",
               "--version", "1.0", "--key", "target.key")


def test_release_under_another_name(shop):
    releases = shop.folder / "depot/apps/api/releases"
    shutil.copy(releases / "1.0.json", releases / "1.1.json")
    for command in (["show", "release"], ["target", "set", "--group", "g", "--key", "target.key"], ["verify"]):
        shop.fails(INPUT, "release api 1.1: expected this release, found api 1.0", *command, "--app", "api", "--version", "1.1")


def test_target_of_a_withdrawn_key(shop):
    shop.set("1.0")
    shop.ok("key", "generate", "--out", "new.key")
    shop.ok("root", "rotate", "--root-key", "root.key", "--target-key", "new.key", "--out", "root-2.json")
    command = ["target", "set", "--app", "api", "--group", "prod", "--version", "1.0", "--env", "X=1", "--key", "new.key",
               "--root", "root-2.json"]
    shop.fails(DENIED, "target", *command)
    assert "serial 2" in shop.ok(*command, "--force")


def test_lost_race_for_a_target(shop):
    """Many set different targets at the same time: every serial is given once, whoever was late is told so."""
    for i in range(5):
        (shop.app(f"app{i}") / "bin/api").write_text(f"{i}\n")
        shop.publish(f"2.{i}", source=f"app{i}")
    running = [subprocess.Popen(shop.command("target", "set", "--app", "api", "--group", "prod", "--version", f"2.{i}",
                                             "--key", "target.key", "--json"), cwd=shop.folder, env=shop.environment,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for i in range(5)]
    done = [(process.communicate(), process.returncode) for process in running]
    serials = [json.loads(out)["serial"] for (out, _), code in done if code == OK]
    assert sorted(serials) == list(range(1, len(serials) + 1)) and serials
    for (_, err), code in done:
        assert code == OK or (code == CONFLICT and "meanwhile" in err), err
    assert shop.payload("apps/api/groups/prod/target.json")["serial"] == len(serials)


def test_freshness(desk):
    desk.trust("--freshness-key", "freshness.pub")
    desk.app()
    desk.publish("1.0")
    assert "muster target refresh" in desk.set("1.0")
    where = ["--app", "api", "--group", "prod"]
    assert "never refreshed" in desk.ok("target", "show", *where)
    assert "fresh until" in desk.ok("target", "refresh", *where, "--freshness-key", "freshness.key", "--fresh-for", "1h")
    fresh = desk.payload("apps/api/groups/prod/freshness.json")
    assert fresh["serial"] == 1
    assert fresh["target_sha256"] == desk.json("target", "show", *where)["sha256"]
    assert "until" in desk.ok("target", "show", *where)
    assert "fresh until" in desk.set("1.0", "--env", "A=1", "--freshness-key", "freshness.key")
    assert desk.payload("apps/api/groups/prod/freshness.json")["serial"] == 2
    desk.set("1.0", "--env", "A=2")
    assert re.search("fresh +no:", desk.ok("target", "show", *where))
    desk.fails(DENIED, "freshness", "target", "refresh", *where, "--freshness-key", "target.key")
    desk.fails(DENIED, "MUSTER_FRESHNESS_KEY", "target", "refresh", *where)
    desk.ok("target", "refresh", *where, env={"MUSTER_FRESHNESS_KEY": (desk.folder / "freshness.key").read_text()})


# Verifying


def test_verify_files(shop):
    shop.set("1.0")
    depot = shop.folder / "depot/apps/api"
    shop.environment["MUSTER_DEPOT"] = "s3://no-network-is-needed"
    assert "release api 1.0" in shop.ok("verify", depot / "releases/1.0.json")
    assert "target of api in prod, serial 1" in shop.ok("verify", depot / "groups/prod/target.json")
    assert "trust root 1" in shop.ok("verify", "root.json")
    shop.fails(NOT_FOUND, "gone", "verify", "gone")
    shop.fails(INPUT, r"appspec\.yml", "verify", "app/appspec.yml")

    envelope = json.loads((depot / "releases/1.0.json").read_text())
    envelope["payload"] = base64.b64encode(base64.b64decode(envelope["payload"]).replace(b'"1.0"', b'"1.1"')).decode()
    (shop.folder / "forged.json").write_text(json.dumps(envelope))
    shop.fails(DENIED, r"forged\.json", "verify", "forged.json")
    envelope["payloadType"] = "text/plain"
    (shop.folder / "other.json").write_text(json.dumps(envelope))
    shop.fails(INPUT, "payloadType", "verify", "other.json")


def test_verify_reads_every_byte(shop):
    (shop.folder / "app/bin/blob").write_bytes(os.urandom(3_000_000))
    told = shop.json("publish", "app", "--app", "api", "--version", "2.0", "--key", "release.key")
    artifact = shop.folder / f"depot/apps/api/artifacts/{told['artifacts'][0]['sha256']}.tar.zst"
    whole = artifact.read_bytes()
    assert "in 3 chunks" in shop.ok("verify", "--app", "api", "--version", "2.0")
    for offset in (0, 1_500_000, len(whole) - 1):
        artifact.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1:])
        shop.fails(INPUT, "chunk", "verify", "--app", "api", "--version", "2.0")
    artifact.write_bytes(whole[:-1])
    shop.fails(INPUT, "shorter", "verify", "--app", "api", "--version", "2.0")


# Progress


def test_progress_on_a_terminal(shop):
    (shop.folder / "app/bin/blob").write_bytes(os.urandom(40_000_000))
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 72, 0, 0))
    text = []

    def read():
        try:
            while chunk := os.read(leader, 65536):
                text.append(chunk)
        except OSError:
            pass

    reader = threading.Thread(target=read)
    reader.start()
    subprocess.run(shop.command("publish", "app", "--app", "api", "--version", "4.0", "--key", "release.key"),
                   cwd=shop.folder, env={**shop.environment, "TERM": "xterm"}, stdout=subprocess.DEVNULL, stderr=follower,
                   check=True)
    os.close(follower)
    reader.join()
    shown = b"".join(text).decode()
    assert re.search(r"\r(pack|upload)  \[=*>? *\] +\d+%", shown)
    assert all(len(line) < 72 for line in re.split(r"[\r\n]|\033\[K", shown))
    assert shown.endswith("\r\033[K")


# Completion and manual


def test_bash_completion(shop):
    script = TOP / "agent/cli/muster.bash-completion"

    def complete(line):
        code = (f'. /usr/share/bash-completion/bash_completion; . {script}; COMP_LINE={line!r}; '
                f'read -ra COMP_WORDS <<<"$COMP_LINE"; [[ $COMP_LINE == *" " ]] && COMP_WORDS+=(""); '
                f'COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_POINT=${{#COMP_LINE}}; _muster; printf "%s\\n" "${{COMPREPLY[@]}}"')
        done = subprocess.run(["bash", "-c", code], cwd=shop.folder, text=True, capture_output=True, check=True,
                              env={**shop.environment, "PATH": f"{BUILD}:{os.environ['PATH']}", "HOME": "/"})
        assert done.stderr == ""
        return done.stdout.split()

    assert "publish" in complete("muster ")
    assert complete("muster pub") == ["publish"]
    assert set(complete("muster key ")) == {"generate", "show"}
    assert complete("muster publish --app api --dep") == ["--depot"]
    assert "release.key" in complete("muster publish app --key ")
    assert complete("muster publish app --key rel") == ["release.key"] or \
        set(complete("muster publish app --key rel")) == {"release.key", "release.pub"}
    assert complete("muster publish --app ") == []


def test_manual_has_everything(desk):
    source = (TOP / "agent/cli/muster.1").read_text()
    shown = subprocess.run(["mandoc", "-T", "utf8", TOP / "agent/cli/muster.1"], text=True, capture_output=True,
                           check=True).stdout
    text = re.sub(".\b", "", shown).replace("‐", "-").replace("−", "-")
    assert subprocess.run(["mandoc", "-T", "lint", "-W", "warning", TOP / "agent/cli/muster.1"], text=True,
                          capture_output=True, check=False).stdout == ""
    for command in verbs(desk):
        assert f"muster {' '.join(command)}" in text, command
        for option in desk.ok("__complete", *command, "--").split():
            assert option in text or option.replace("--no-", "--[no-]") in text, (command, option)
        for line in examples(desk.ok(*command, "--help")):
            assert line.partition("muster ")[2].split()[0] in text
    for name in re.findall(r"MUSTER_[A-Z_]+", "".join(desk.ok(*command, "--help") for command in verbs(desk))):
        assert name in source, name


# On an instance

BUS_CONFIGURATION = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>custom</type><listen>unix:path={path}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="method_call"/><allow send_type="signal"/>
<allow send_requested_reply="true" send_type="method_return"/><allow send_requested_reply="true" send_type="error"/>
<allow receive_type="method_call"/><allow receive_type="signal"/><allow receive_type="method_return"/>
<allow receive_type="error"/></policy></busconfig>
"""


def wait_until(condition):
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come true")


class Instance:
    """A bus and a mock of musterd on it."""

    def __init__(self, desk):
        self.desk = desk
        self.folder = desk.folder / "musterd"
        self.folder.mkdir()
        address = desk.folder / "bus"
        (desk.folder / "bus.conf").write_text(BUS_CONFIGURATION.format(path=address))
        desk.environment["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={address}"
        self.bus = subprocess.Popen(["dbus-daemon", f"--config-file={desk.folder}/bus.conf", "--nofork"])
        wait_until(address.exists)
        self.daemon = None

    def start(self):
        self.daemon = subprocess.Popen([BUILD / "mock-musterd", self.folder], env=self.desk.environment)
        wait_until(lambda: self.desk.run("poll").returncode == OK)
        (self.folder / "polled").unlink()
        return self

    def stop(self):
        if self.daemon:
            self.daemon.kill()
            self.daemon.wait()

    def close(self):
        self.stop()
        self.bus.kill()
        self.bus.wait()

    def write(self, name, value):
        (self.folder / name).write_text(value if isinstance(value, str) else json.dumps(value))


@pytest.fixture
def bus(desk):
    running = Instance(desk)
    yield running
    running.close()


@pytest.fixture
def daemon(bus):
    return bus.start()


STATUS = {
    "agent_version": "0.1.0", "instance": "i-0123", "group": "prod", "depot": "s3://deploys/prod", "state": "ready",
    "apps": [
        {"app": "api", "required": True, "state": "deploying", "version": "1.4.1", "release_sha256": "00" * 32,
         "serial": 17, "since": "2026-01-01T00:00:00Z", "reason": None,
         "deployment": {"id": "d-1", "version": "1.4.2", "step": "FETCH", "event": None,
                        "started": "2026-01-01T00:00:00Z", "percent": 52},
         "last_failure": {"version": "1.4.0", "step": "HEALTH", "reason": "no\033[31m answer\nin 60s",
                          "at": "2026-01-01T00:00:00Z"}},
        {"app": "worker", "required": False, "state": "none", "version": None, "release_sha256": None, "serial": 0,
         "since": None, "reason": "there is no target for it", "deployment": None, "last_failure": None}],
    "launch": {"hook": "muster-launch", "state": "continued", "reason": None}}

HISTORY = {"deployments": [
    {"id": "d-2", "app": "api", "version": "1.4.2", "from_version": "1.4.1", "serial": 18, "started":
     "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:09Z", "outcome": "rolled-back", "reason": "no answer",
     "fault": "release", "steps": [
         {"step": "FETCH", "started": "2026-01-01T00:00:00Z", "seconds": 2.5, "result": "succeeded"},
         {"step": "VALIDATE_SERVICE", "event": "ValidateService", "seconds": 1, "result": "failed",
          "output_tail": "a line\nanother \033[2Jline\n"}]},
    {"id": "d-1", "app": "api", "version": "1.4.1", "from_version": None, "serial": 17, "started":
     "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:00:05Z", "outcome": "succeeded", "reason": None, "fault": None,
     "steps": []}]}


def test_without_musterd(desk):
    for words in (["status"], ["history"], ["poll"], ["deploy", "--local", ".", "--app", "api"]):
        desk.fails(UNREACHABLE, "musterd does not run on this machine", *words)


def test_bus_without_musterd(bus, desk):
    for words in (["status"], ["history", "api"], ["poll"], ["deploy", "--local", ".", "--app", "api"]):
        desk.fails(UNREACHABLE, "musterd does not run on this machine", *words)


def test_status(daemon, desk):
    daemon.write("status.json", STATUS)
    assert desk.json("status") == STATUS
    text = desk.ok("status")
    for pattern in (r"i-0123 in group prod, musterd 0\.1\.0", r"depot +s3://deploys/prod", r"state +ready",
                    r"hook muster-launch: continued", r"api +1\.4\.1 +deploying +17 +yes", r"worker +- +none +- +no",
                    r"api: deploys 1\.4\.2: FETCH 52%", r"api: 1\.4\.0 failed at HEALTH", "worker: there is no target"):
        assert re.search(pattern, text), (pattern, text)
    assert "\033" not in text
    daemon.write("status.json", {"state": "unconfigured"})
    assert "none yet: see muster.conf(5)" in desk.ok("status")
    daemon.write("status.json", "nonsense")
    desk.fails(INPUT, "no JSON", "status")


def test_history(daemon, desk):
    daemon.write("history.json", HISTORY)
    assert desk.json("history") == HISTORY
    text = desk.ok("history")
    assert re.search(r"d-2 +api +1\.4\.1 -> 1\.4\.2 .* rolled-back +no answer", text)
    text = desk.ok("history", "api", "--steps")
    assert re.search(r"FETCH +succeeded +2\.5s", text) and re.search(r"ValidateService +failed +1\.0s", text)
    assert "| a line" in text and "\033" not in text
    daemon.write("history.json", {"deployments": []})
    assert "nothing was deployed yet" in desk.ok("history")
    desk.fails(NOT_FOUND, "no app 'unknown'", "history", "unknown")


def test_poll(daemon, desk):
    desk.ok("poll")
    assert (daemon.folder / "polled").exists()


def as_nobody(desk, *words):
    return subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", "--regid=65534", *desk.command(*words)], cwd="/",
                          env=desk.environment, text=True, capture_output=True, check=False)


def test_only_root(daemon, desk):
    daemon.write("status.json", STATUS)
    for path in (desk.folder, *desk.folder.parents):
        if not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)
    (desk.folder / "bus").chmod(0o666)
    if as_nobody(desk, "--version").returncode != OK:
        pytest.skip("this tree is not everybody's to read")
    assert as_nobody(desk, "status").returncode == OK
    done = as_nobody(desk, "poll")
    assert (done.returncode, done.stderr) == (DENIED, "muster: only root may do this\n")


def test_deploy_local(daemon, desk):
    daemon.write("status.json", STATUS)
    daemon.write("plan", "FETCH\nUNITS\nsucceeded\n")
    desk.app()
    done = desk.run("deploy", "--local", "app", "--app", "api", "--version", "1.5")
    assert (done.returncode, done.stdout) == (OK, "api: 1.5 serves\n"), done
    assert done.stderr == "api: FETCH\napi: UNITS\n"
    release = json.loads((daemon.folder / "release.json").read_text())
    assert (release["app"], release["version"]) == ("api", "1.5")
    sent = (daemon.folder / "archive").read_bytes()
    assert release["artifacts"]["any"]["sha256"] == hashlib.sha256(sent).hexdigest()


def test_deploy_local_fails(daemon, desk):
    daemon.write("status.json", STATUS)
    daemon.write("plan", "HEALTH\nfailed no answer within 60s\n")
    desk.app()
    done = desk.run("deploy", "--local", "app", "--app", "api")
    assert done.returncode == FAILED and done.stdout == ""
    assert "| second" in done.stderr and "\033" not in done.stderr
    assert done.stderr.splitlines()[-1] == "muster: api: deployment d-mock-1: no answer within 60s"
    assert re.fullmatch(r"local-\d{14}", json.loads((daemon.folder / "release.json").read_text())["version"])


def test_deploy_local_without_waiting(daemon, desk):
    daemon.write("status.json", STATUS)
    daemon.write("plan", "succeeded\n")
    desk.app()
    told = desk.json("deploy", "--local", "app", "--app", "api", "--version", "1", "--no-wait")
    assert told == {"id": "d-mock-1", "app": "api", "version": "1"}


def test_deploy_local_json(daemon, desk):
    daemon.write("status.json", STATUS)
    daemon.write("plan", "failed broken\n")
    desk.app()
    done = desk.run("deploy", "--local", "app", "--app", "api", "--json", "-q")
    assert (done.returncode, done.stderr) == (FAILED, "")
    assert json.loads(done.stdout)["outcome"] == "failed"


def test_deploy_local_refused(daemon, desk):
    daemon.write("status.json", STATUS)
    daemon.write("refuse", "deployment d-7 of api is running")
    desk.app()
    desk.fails(CONFLICT, "deployment d-7 of api is running", "deploy", "--local", "app", "--app", "api")
    desk.fails(NOT_FOUND, "gone", "deploy", "--local", "gone", "--app", "api")


def test_deploy_local_outlives_a_restart_of_musterd(daemon, desk):
    daemon.write("status.json", STATUS)
    daemon.write("plan", "FETCH\ndie\n")
    desk.app()
    process = subprocess.Popen(desk.command("deploy", "--local", "app", "--app", "api"), cwd=desk.folder,
                               env=desk.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    daemon.daemon.wait()
    daemon.write("history.json", {"deployments": [{"id": "d-mock-1", "app": "api", "version": "x",
                                                   "outcome": "succeeded"}]})
    daemon.daemon = subprocess.Popen([BUILD / "mock-musterd", daemon.folder], env=desk.environment)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (OK, "api: x serves\n"), err
