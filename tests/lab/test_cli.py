"""muster, the command, as its users call it: help, mistakes, keys, completion, manual."""

import base64
import fcntl
import hashlib
import os
import pty
import re
import shlex
import struct
import subprocess
import termios

import pytest
from rig.desk import BUILD, CONFLICT, DENIED, FAILED, INPUT, NOT_FOUND, TOP, USAGE


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
    (["rollback", "api", "prod", "--version", "1"], "there is no --version of an app here: muster rollback"),
    (["rollout", "finish", "--app", "api", "--version", "1"], "there is no --version of an app here: muster rollout finish"),
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


@pytest.mark.parametrize("words", [("root", "show"), ("--help",), ("publish", "--help"), ("help", "rollout"), ("--version",)])
def test_closed_output_is_no_success(shop, words):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run(shop.command(*words), env=shop.environment, stdout=full, stderr=subprocess.PIPE,
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
    assert set(complete("muster publish app --key rel")) == {"release.key", "release.pub"}
    assert complete("muster publish --app ") == []
    assert set(complete("muster publish app --key=rel")) == {"release.key", "release.pub"}


def complete_in_zsh(line):
    """Its completion system needs a terminal: what the function hands to it is what counts."""
    code = ("compadd() { shift; print -rl -- $@ }; compset() { prefix=${words[CURRENT]#*=} }; "
            "_files() { print -rl -- ${prefix:-$words[CURRENT]}*(N) }; words=(\"$@\"); CURRENT=$#; "
            f". {TOP / 'agent/cli/muster.zsh-completion'}")
    return ["zsh", "-fc", code, "zsh", *line.split(" ")]


def complete_in_fish(line):
    return ["fish", "--no-config", "-c", f"source {TOP / 'agent/cli/muster.fish'}; complete -C {shlex.quote(line)}"]


@pytest.mark.parametrize("shell", [complete_in_zsh, complete_in_fish])
def test_other_completions(shop, shell):
    def complete(line):
        done = subprocess.run(shell(line), cwd=shop.folder, text=True, capture_output=True, check=True,
                              env={**shop.environment, "PATH": f"{BUILD}:{os.environ['PATH']}", "HOME": str(shop.folder)})
        assert done.stderr == ""
        return {line.split("\t")[0] for line in done.stdout.splitlines() if line}

    assert "publish" in complete("muster ")
    assert complete("muster pub") == {"publish"}
    assert complete("muster key ") == {"generate", "show"}
    assert complete("muster publish --app api --dep") == {"--depot"}
    assert {"release.key", "release.pub"} <= complete("muster publish app --key rel")
    assert complete("muster publish --app ") == set()
    assert {word.split("=")[-1] for word in complete("muster publish app --key=rel")} >= {"release.key", "release.pub"}


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
