"""muster migrate: what it finds of CodeDeploy's agent, and the page that says key by key what becomes of everything."""

import json
import os
import re
from pathlib import Path

import pytest
from rig.codedeployed import GROUP, ROOT, bundle, deploy_as_codedeploy, look
from rig.desk import CONFLICT, DENIED, INPUT, NOT_FOUND, OK, UNREACHABLE, USAGE

PAGE = Path(__file__).resolve().parents[2] / "agent/muster-codedeploy.7"
APPSPEC = "version: 0.0\nos: linux\nhooks:\n  ApplicationStart:\n    - location: scripts/start\n      timeout: 300\n"


class Machine:
    """A desk on whose disk CodeDeploy's agent has worked."""

    def __init__(self, desk):
        self.desk = desk
        self.root = desk.folder / "deployment-root"
        self.instructions = self.root / "deployment-instructions"
        self.config = desk.folder / "codedeployagent.yml"
        self.configure("")

    def configure(self, text, on_premises=None):
        """Writes the agent's configuration, with the file for machines on premises if there is one."""
        second = self.desk.folder / "codedeploy.onpremises.yml"
        self.config.write_text(f"---\n:root_dir: '{self.root}'\n:on_premises_config_file: '{second}'\n{text}")
        if on_premises is not None:
            second.write_text(on_premises)

    def deployed(self, deployment="d-ABCDEFGHI", group=GROUP, appspec=APPSPEC, installed=("/srv/app", "/srv/app/page")):
        """Leaves what a deployment leaves."""
        folder = self.root / group / deployment
        for path, text in {"appspec.yml": appspec, "scripts/start": "#!/bin/sh\n", "page": "hello\n"}.items():
            (folder / "deployment-archive" / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "deployment-archive" / path).write_text(text)
            (folder / "deployment-archive" / path).chmod(0o755 if path.startswith("scripts/") else 0o644)
        self.instructions.mkdir(exist_ok=True)
        for name in ("last_successful_install", "most_recent_install"):
            (self.instructions / f"{group}_{name}").write_text(str(folder))
        (self.instructions / f"{group}-install.json").write_text(json.dumps({"instructions": [
            {"type": "mkdir", "directory": installed[0]},
            {"type": "copy", "source": f"{folder}/deployment-archive/page", "destination": installed[-1]}]}))
        (self.instructions / f"{group}-cleanup").write_text("".join(f"{path}\n" for path in installed))

    def words(self, *words):
        return ("migrate", "--agent-configuration-file", self.config, *words)

    def plan(self, *words):
        return self.desk.json(*self.words(*words))


@pytest.fixture
def machine(desk):
    return Machine(desk)


def test_plan(machine):
    machine.deployed()
    before = {path: path.read_bytes() for path in machine.root.rglob("*") if path.is_file()}
    plan = machine.plan("--app", "api")
    assert plan["groups"] == [{"id": GROUP, "last_successful": "d-ABCDEFGHI", "most_recent": "d-ABCDEFGHI", "installed": 2,
                               "archive": f"{machine.root}/{GROUP}/d-ABCDEFGHI/deployment-archive", "problem": None}]
    assert (plan["release"]["version"], plan["release"]["app"], plan["release"]["problem"]) == ("codedeploy-d-ABCDEFGHI",
                                                                                              "api", None)
    text = machine.desk.ok(*machine.words("--app", "api"))
    assert "d-ABCDEFGHI becomes release codedeploy-d-ABCDEFGHI of app api" in text
    assert {path: path.read_bytes() for path in machine.root.rglob("*") if path.is_file()} == before


def test_several_groups(machine):
    machine.deployed()
    machine.deployed("d-000000002", "2f0c7a3e")
    assert machine.plan()["release"] is None
    assert "--deployment-group names one" in machine.desk.ok(*machine.words())
    assert machine.plan("--deployment-group", "2f0c7a3e")["release"]["deployment"] == "d-000000002"
    machine.desk.fails(NOT_FOUND, "nothing of a group 3f here", *machine.words("--deployment-group", "3f"))
    machine.desk.fails(USAGE, "deployment-group", *machine.words("--deployment-group", "a/b"))


def test_settings(machine):
    """What has a counterpart is said in muster's words, and nothing that is secret is said at all."""
    machine.configure(":max_revisions: 3\n:proxy_uri: http://me:hush@proxy:3128\n:use_fips_mode: true\n:nonsense: 1\n",
                      "---\nregion: eu-central-1\niam_user_arn: arn:aws:iam::123456789012:user/CodeDeploy/till-7\n"
                      "aws_access_key_id: AKIAIOSFODNN7EXAMPLE\naws_secret_access_key: wJalrXUtnFEMIexample\n")
    plan = machine.plan()
    settings = {setting["name"]: setting for setting in plan["settings"]}
    assert plan["on_premises"] and plan["groups"] == []
    assert settings["max_revisions"]["write"] == "[agent] keep_releases = 3"
    assert settings["use_fips_mode"]["write"] == "[aws] use_fips = yes"
    assert settings["region"]["write"] == "[aws] region = eu-central-1"
    assert settings["iam_user_arn"]["write"] == "[agent] instance_id = till-7"
    assert settings["nonsense"]["fate"] == "unknown"
    for text in (json.dumps(plan), machine.desk.ok(*machine.words()), machine.desk.ok(*machine.words("--verbose"))):
        assert not any(secret in text for secret in ("hush", "AKIA", "wJalr"))


def test_bad_input(machine):
    """What cannot be read, what was half written, and no agent at all."""
    machine.deployed()
    machine.config.write_text(":root_dir: [a\n")
    machine.desk.fails(INPUT, r"codedeployagent\.yml:2: ", *machine.words())
    machine.config.write_text("")
    machine.desk.fails(INPUT, "there is nothing in it", *machine.words())
    machine.configure("", "region: [eu]\n")
    machine.desk.fails(INPUT, r"codedeploy\.onpremises\.yml:1: region: ", *machine.words())
    machine.configure("", "")
    machine.desk.fails(INPUT, "onpremises", *machine.words())

    machine.configure("", "region: eu-central-1\n")
    (machine.instructions / f"{GROUP}-cleanup").write_text("/srv/app\n/srv/ap")
    plan = machine.plan()
    assert plan["release"] is None
    assert plan["groups"][0]["problem"] == "of 2 files and folders that d-ABCDEFGHI was to install, 1 are"
    machine.desk.fails(INPUT, "cannot be taken over: of 2 files", *machine.words("--deployment-group", GROUP))

    nothing = ("migrate", "--agent-configuration-file", machine.desk.folder / "none.yml")
    if not Path("/opt/codedeploy-agent/deployment-root").exists():
        machine.desk.fails(NOT_FOUND, "there is no CodeDeploy agent here", *nothing)


def test_refused_revision(machine):
    """A revision that muster would not publish is named as such, with file, line and key."""
    machine.deployed(appspec=APPSPEC.replace("timeout", "timout"))
    assert re.search(r"appspec\.yml.*: hooks\.ApplicationStart\[0\]\.timout", machine.plan()["release"]["problem"])


def test_revision_in_use(machine):
    """What scripts have made in the revision's folder: a socket is the process's own, a link out of it is a problem, which is
    told before --apply. Where the only group cannot be taken over, --apply says why."""
    machine.deployed()
    archive = machine.root / GROUP / "d-ABCDEFGHI/deployment-archive"
    os.mkfifo(archive / "control")
    assert machine.plan()["release"]["problem"] is None
    (archive / "python").symlink_to("/usr/bin/python3")
    assert "python: it links to an absolute path" in machine.plan()["release"]["problem"]
    machine.desk.fails(INPUT, "cannot be taken over: .*python: it links", *machine.words("--apply", "--app", "api"))
    (machine.instructions / f"{GROUP}-cleanup").write_text("/srv/app\n")
    machine.desk.fails(INPUT, f"group {GROUP} cannot be taken over: of 2 files", *machine.words("--apply", "--app", "api"))


def test_apply_needs(machine):
    """What --apply wants to know before it does anything."""
    machine.deployed()
    machine.desk.fails(USAGE, "--app says what the app is called", *machine.words("--apply"))
    machine.desk.fails(UNREACHABLE, "musterd does not run", *machine.words("--apply", "--app", "api"))
    machine.deployed("d-000000002", "2f0c7a3e")
    machine.desk.fails(USAGE, "--deployment-group has to say what", *machine.words("--apply", "--app", "api"))
    machine.deployed(appspec="version: 1.0\nos: linux\n")
    machine.desk.fails(INPUT, "d-ABCDEFGHI cannot be taken over: .*appspec.yml", *machine.words(
        "--apply", "--app", "api", "--deployment-group", GROUP))


def test_apply(instance):
    """What CodeDeploy deployed becomes the first release while it runs on; the next one stops it, removes what it does not
    have, and leads back to it."""
    deploy_as_codedeploy(instance)
    instance.sh(f"cd {ROOT}/{GROUP}/d-ABCDEFGHI/deployment-archive; mkfifo control; chmod 600 conf/site.conf")
    before = look(instance)
    plan = json.loads(instance.run("muster", "migrate", "--json", "--app", "site").out)
    assert plan["agent"] == {"service": "codedeploy-agent.service", "active": True, "enabled": True}
    assert len(plan["warnings"]) == 1 and "is active and enabled" in plan["warnings"][0]
    assert plan["release"]["problem"] is None and plan["release"]["installed"] == 6
    checks = json.loads(instance.run("muster", "doctor", "--json", check=False).out)["checks"]
    assert "both agents act" in next(check["text"] for check in checks if check["check"] == "CodeDeploy")
    denied = instance.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "muster", "migrate", "--app", "site",
                          "--apply", check=False)
    assert denied.code == DENIED, denied

    done = instance.run("muster", "migrate", "--app", "site", "--apply")
    assert done.out == "site: d-ABCDEFGHI is taken over as release codedeploy-d-ABCDEFGHI\n"
    assert "both agents act" in done.err
    assert look(instance) == before
    assert instance.sh("cd /var/lib/muster/apps/site/current; stat -c %a conf/site.conf; ls").out == (
        "600\nappspec.yml\nconf\nscripts\nsite\n")
    status = json.loads(instance.run("muster", "status", "--json").out)["apps"][0]
    assert (status["app"], status["version"], status["state"]) == ("site", "codedeploy-d-ABCDEFGHI", "held")
    entry = json.loads(instance.run("muster", "history", "--json").out)["deployments"][0]
    assert [step["step"] for step in entry["steps"]] == ["VERIFY", "FETCH", "ADOPT", "COMMIT"]
    again = instance.run("muster", "migrate", "--app", "site", "--apply", check=False)
    assert again.code == CONFLICT and "has release codedeploy-d-ABCDEFGHI here already" in again.err
    instance.run("systemctl", "restart", "musterd")

    bundle(instance, "/root/broken", {"index.html": "broken\n"})
    instance.put("/root/broken/scripts/start", "#!/bin/sh\nexit 1\n", mode=0o755)
    failed = instance.run("muster", "deploy", "--local", "/root/broken", "--app", "site", "--version", "2", check=False)
    assert failed.code != OK and "ROLLBACK" in failed.err
    assert instance.sh("cat /srv/site/index.html /srv/site/old/gone.html /srv/site/theirs").out == "one\ngone\nmine\n"
    assert "codedeploy-d-ABCDEFGHI" in instance.sh("cat /run/site.stopped").out

    bundle(instance, "/root/next", {"index.html": "two\n", "new.html": "new\n"})
    instance.run("muster", "deploy", "--local", "/root/next", "--app", "site", "--version", "3")
    assert instance.sh("cd /srv/site; find . -type f | sort; cat index.html").out == "./index.html\n./new.html\n./theirs\ntwo\n"


# What CodeDeploy's documentation and its agent's own configuration know, so that the page says something of each.
SECTIONS = {
    "appspec.yml": """version os files files.source files.destination file_exists_behavior permissions permissions.object
        permissions.pattern permissions.except permissions.type permissions.owner permissions.group permissions.mode
        permissions.acls permissions.context permissions.context.user permissions.context.type permissions.context.range
        hooks hooks.location hooks.timeout hooks.runas hooks.sudo""",
    "Lifecycle events": """BeforeBlockTraffic BlockTraffic AfterBlockTraffic ApplicationStop DownloadBundle BeforeInstall
        Install AfterInstall ApplicationStart ValidateService BeforeAllowTraffic AllowTraffic AfterAllowTraffic""",
    "Environment of scripts": """LIFECYCLE_EVENT DEPLOYMENT_ID APPLICATION_NAME DEPLOYMENT_GROUP_NAME DEPLOYMENT_GROUP_ID
        BUNDLE_BUCKET BUNDLE_KEY BUNDLE_VERSION BUNDLE_ETAG BUNDLE_COMMIT""",
    "codedeployagent.yml": """children codedeploy_test_profile config_file deploy_control_endpoint disable_imds_v1
        enable_auth_policy enable_deployments_log group http_read_timeout instance_service_endpoint instance_service_port
        instance_service_region kill_agent_max_wait_time_seconds log_aws_wire log_dir max_revisions max_runs_per_worker
        on_premises_config_file ongoing_deployment_tracking pid_dir plugins program_name proxy_uri root_dir
        s3_endpoint_override shared_dir use_fips_mode user verbose wait_after_connection_problem wait_after_error
        wait_after_throttle_error wait_between_runs wait_between_spawning_children""",
    "codedeploy.onpremises.yml": """aws_access_key_id aws_credentials_file aws_secret_access_key iam_session_arn iam_user_arn
        region""",
    "codedeploy-local": """--bundle-location --type --file-exists-behavior --deployment-group --deployment-group-name
        --application-name --events --agent-configuration-file --appspec-filename --help --version""",
}


def rows(section):
    """What a section of the page has in its table: the first word of each row, and the counterpart."""
    text = re.search(rf"^\.Ss {re.escape(section)}\n(.*?)(?=^\.S[sh] |\Z)", PAGE.read_text(), re.S | re.M)[1]
    found = re.findall(r"^\.It Li (\S+).* Ta (.*)$", text.replace("\\-", "-"), re.M)
    assert all(counterpart for _, counterpart in found)
    return dict(found)


@pytest.mark.parametrize("section", SECTIONS)
def test_page_is_complete(section):
    assert sorted(rows(section)) == sorted(SECTIONS[section].split())


def test_page_and_plan_agree(machine):
    """Every setting that the page has is known to the command, which says the same of it."""
    agent, on_premises = rows("codedeployagent.yml"), rows("codedeploy.onpremises.yml")
    machine.configure("".join(f":{name}: x\n" for name in agent if name not in ("root_dir", "on_premises_config_file")),
                      "".join(f"{name}: x\n" for name in on_premises))
    said = {setting["name"]: setting["counterpart"] for setting in machine.plan()["settings"]}
    assert said == {**agent, **on_premises}
