"""hooks/ on a booted systemd, by way of units-driver.c."""

import time

import pytest
from rig.host import wait_for
from units import _on_failure, driver  # noqa: F401  (fixtures)

RELEASE = "/var/lib/muster/apps/api/releases/1"
LOGS = "/var/lib/muster/apps/api/logs"


@pytest.fixture
def hooks(driver, request):
    """Writes scripts into the release and runs them as hooks of a deployment of the test's own."""
    deployment = f"d-{request.node.name}".replace("_", "").replace("[", "").replace("]", "")

    def words(*names, options=()):
        return ["--deployment", deployment, "--release", RELEASE, "--output-folder", f"{LOGS}/{deployment}", *options,
                "hooks", *names]

    class Hooks:
        unit = staticmethod(lambda index, event="AfterInstall", attempt=1:
                            f"muster-hook-api-{deployment.replace('-', chr(92) + 'x2d')}-{event}-{index}-{attempt}.service")
        log = staticmethod(lambda index: f"{LOGS}/{deployment}/AfterInstall-{index}-1.log")

        @staticmethod
        def put(name, script, mode=0o755):
            driver.instance.put(f"{RELEASE}/{name}", script, mode=mode)
            return name

        @staticmethod
        def run(*names, options=()):
            return driver(*words(*names, options=options))

        @staticmethod
        def start(*names, options=()):
            return driver.start(*words(*names, options=options))

    Hooks.deployment = deployment
    driver.sh(f"mkdir -p {RELEASE}; useradd -m app 2>/dev/null || true")
    yield Hooks
    driver("leftovers", "api")


def test_success(driver, hooks):
    script = hooks.put("good", "#!/bin/sh\npwd; id -un; echo $HOME; echo $LIFECYCLE_EVENT $MUSTER_EVENT "
                               "$MUSTER_HOOK_INDEX $MUSTER_ATTEMPT $APPLICATION_NAME; echo \"$SECRET\" >&2\n")
    result = hooks.run(script)
    assert (result["result"], result["outcome"], result["warning"]) == ("0", "success", "")
    assert driver.instance.get(hooks.log(0)).decode().splitlines() == [
        RELEASE, "root", "/root", "AfterInstall AfterInstall 0 1 api", 's3"cr$et']
    assert driver.show(hooks.unit(0), "LoadState") == "not-found"
    assert driver.sh("find /run/muster -type f ! -name boot-id").text == ""
    assert driver.instance.run("stat", "-c", "%a", hooks.log(0)).text == "600"


def test_secrets_are_seen_by_nobody(driver, hooks):
    script = hooks.put("slow", "#!/bin/sh\nsleep 2\n")
    process = hooks.start(script)
    wait_for(lambda: driver.show(hooks.unit(0), "ActiveState") == "activating", 5, "the hook")
    assert 's3"cr$et' not in driver.instance.run("systemctl", "show", hooks.unit(0)).out
    path = driver.sh("find /run/muster -type f ! -name boot-id").text
    assert driver.sh(f"stat -c %a:%U {path}").text == "600:root"
    assert "denied" in driver.sh(f"su app -c 'cat {path}' 2>&1 || true").out
    assert driver.finish(process)["result"] == "0"


def test_all_in_order_until_one_fails(driver, hooks):
    hooks.put("one", "#!/bin/sh\necho one >>/run/order\n")
    hooks.put("two", "#!/bin/sh\necho two >>/run/order; echo reason; exit 9\n")
    hooks.put("three", "#!/bin/sh\necho three >>/run/order\n")
    driver.sh("rm -f /run/order")
    result = hooks.run("one", "two", "three")
    assert (result["result"], result["index"], result["fault"]) == ("1", "1", "release")
    assert result["error"] == "AfterInstall: two: exit status 9; its last output: reason"
    assert driver.instance.get("/run/order") == b"one\ntwo\n"
    assert driver.instance.run("systemctl", "list-units", "--all", "--no-legend", "muster-hook-*").text == ""


def test_runs_as_a_user(driver, hooks):
    script = hooks.put("who", "#!/bin/sh\nid -un; echo $HOME; echo to-stdout >/dev/stdout; echo more\n")
    assert hooks.run(script, options=["--user", "app"])["result"] == "0"
    lines = driver.instance.get(hooks.log(0)).decode().splitlines()
    assert "more" in lines and "to-stdout" in lines


def test_user_that_is_not_there(driver, hooks):
    result = hooks.run(hooks.put("who", "#!/bin/sh\n"), options=["--user", "nobodyknows"])
    assert (result["result"], result["fault"]) == ("1", "release")
    assert result["error"] == "AfterInstall: who: its user (runas) nobodyknows is not on this instance"


@pytest.mark.parametrize("content, mode, warning", [
    ("#!/bin/sh -e\necho $0\n", 0o644, "no run bit"),
    ("echo $0\n", 0o755, "names no interpreter"),
    ("echo $0\n", 0o644, "names no interpreter"),
], ids=["norun", "plain", "plain-norun"])
def test_scripts_that_are_run_all_the_same(driver, hooks, content, mode, warning):
    result = hooks.run(hooks.put("odd", content, mode))
    assert result["result"] == "0"
    assert warning in result["warning"]
    assert driver.instance.get(hooks.log(0)).decode() == f"{RELEASE}/odd\n"


@pytest.mark.parametrize("content, says", [
    (None, "the release has no such file"),
    ("#!/bin/sh\r\nexit 0\r\n", "CR LF"),
    ("#!/opt/python2\n", "/opt/python2 is not on this instance"),
], ids=["missing", "crlf", "interpreter"])
def test_scripts_that_cannot_be_run(hooks, content, says):
    name = hooks.put("bad", content) if content else "missing"
    result = hooks.run(name)
    assert (result["result"], result["fault"]) == ("1", "release")
    assert says in result["error"]


def test_time_out_ends_every_process(driver, hooks):
    script = hooks.put("hang", "#!/bin/bash\ntrap '' TERM\nsetsid bash -c 'trap \"\" TERM; exec -a deaf sleep 777' &\n"
                               "echo waiting\nwhile :; do sleep 1; done\n")
    result = hooks.run(script, options=["--timeout", "1s"])
    assert (result["result"], result["outcome"], result["fault"]) == ("1", "timeout", "release")
    assert result["error"] == "AfterInstall: hang: timed out after 1s and was ended; its last output: waiting"
    assert not driver.running("deaf|sleep 777")
    assert float(result["seconds"]) < 15


def test_units_in_which_nothing_runs_are_collected(driver, hooks):
    """What a killed musterd did not get to; what a hook left behind on purpose lives on."""
    hooks.run(hooks.put("start", "#!/bin/sh\nsetsid sleep 4244 &\n"))
    driver.sh("systemd-run --quiet --wait --property=RemainAfterExit=no --unit=muster-hook-api-failed.service false || true; "
              "systemd-run --quiet --property=RemainAfterExit=yes --unit=muster-hook-api-ended.service true")
    wait_for(lambda: driver.show("muster-hook-api-ended.service", "SubState") == "exited", 10, "its end")
    assert driver("collect", "other")["stopped"] == "0"
    assert driver("collect", "api")["stopped"] == "2"
    for unit in ("muster-hook-api-failed.service", "muster-hook-api-ended.service"):
        assert driver.show(unit, "LoadState") == "not-found"
    assert driver.running("sleep 4244")
    assert driver("leftovers", "api")["stopped"] == "1"


def test_daemon_lives_until_it_is_a_leftover(driver, hooks):
    script = hooks.put("start", "#!/bin/sh\nsetsid sh -c 'while :; do echo tick; sleep 0.2; done' &\nsleep 0.1\n")
    result = hooks.run(script)
    assert result["result"] == "0"
    assert float(result["seconds"]) < 2
    assert driver.show(hooks.unit(0), "SubState") == "exited"
    assert driver.running("echo tick")
    before = len(driver.instance.get(hooks.log(0)))
    time.sleep(1)
    assert len(driver.instance.get(hooks.log(0))) > before  # it writes, and is not held up
    assert driver("leftovers", "api", hooks.deployment)["stopped"] == "0"
    assert driver("leftovers", "other")["stopped"] == "0"
    assert driver.running("echo tick")
    assert driver("leftovers", "api")["stopped"] == "1"
    assert not driver.running("echo tick")
    assert driver.show(hooks.unit(0), "LoadState") == "not-found"


def test_much_output_is_cut_down(driver, hooks):
    script = hooks.put("loud", "#!/bin/sh\necho beginning\nyes 'all work and no play' | head -c 2G; echo\necho the end\nexit 1\n")
    process = hooks.start(script)
    largest = 0
    while process.poll() is None:
        size = driver.instance.run("du", "-k", hooks.log(0), check=False).text.split()
        largest = max(largest, int(size[0]) if size else 0)
    result = driver.finish(process)
    assert result["error"].endswith(" | the end")
    assert int(result["tail"]) <= 4096
    assert int(driver.instance.run("du", "-k", hooks.log(0)).text.split()[0]) <= 1024
    assert largest < 1024 * 1024  # it is cut while it grows
    text = driver.instance.get(hooks.log(0))
    assert text.startswith(b"beginning\n") and text.endswith(b"the end\n")
    assert b"too much output" in text


def test_broken_pipe_is_as_in_a_shell(driver, hooks):
    result = hooks.run(hooks.put("pipe", "#!/bin/bash\nset -o pipefail\nyes | head -1 >/dev/null\necho ${PIPESTATUS[0]}\n"))
    assert result["result"] in ("0", "1")
    assert driver.instance.get(hooks.log(0)) == b"141\n"


def test_found_again_after_a_restart_of_the_agent(driver, hooks):
    script = hooks.put("slow", "#!/bin/sh\necho run >>/run/runs; sleep 2; echo done; exit 3\n")
    driver.sh("rm -f /run/runs")
    process = hooks.start(script)
    wait_for(lambda: driver.show(hooks.unit(0), "ActiveState") == "activating", 5, "the hook")
    process.kill()
    process.wait()
    result = hooks.run(script)
    assert result["error"] == "AfterInstall: slow: exit status 3; its last output: done"
    assert driver.instance.get("/run/runs") == b"run\n"


# Health checks


def serve(driver, name, answer, delay="0"):
    """A web server in one line of shell, which systemd starts for each connection."""
    port = {"good": 8081, "bad": 8082, "late": 8083, "version": 8084}[name]
    driver.instance.put(f"/usr/local/bin/answer-{name}", f"#!/bin/sh\nread line; sleep {delay}; printf '{answer}'\n", mode=0o755)
    driver.instance.put(f"/etc/systemd/system/web-{name}.socket",
                        f"[Socket]\nListenStream=127.0.0.1:{port}\nAccept=yes\nMaxConnections=1000\n"
                        "[Unit]\nStartLimitIntervalSec=0\n")
    driver.instance.put(f"/etc/systemd/system/web-{name}@.service",
                        f"[Service]\nExecStart=/usr/local/bin/answer-{name}\nStandardInput=socket\n"
                        "[Unit]\nStartLimitIntervalSec=0\nCollectMode=inactive-or-failed\n")
    driver.sh(f"systemctl daemon-reload; systemctl restart web-{name}.socket")
    return f"http://127.0.0.1:{port}/healthz"


def answer(status, body="", header="X-App: api"):
    return f"HTTP/1.1 {status} X\\r\\n{header}\\r\\nContent-Length: {len(body)}\\r\\nConnection: close\\r\\n\\r\\n{body}"


def test_http_healthy(driver):
    url = serve(driver, "good", answer(200))
    result = driver("--interval", "200ms", "--healthy", "3", "health", f"http={url}")
    assert (result["result"], result["error"]) == ("0", "")
    assert result["check"] == f"GET {url} 0/3 1"
    assert 0.4 < float(result["seconds"]) < 2


def test_http_wrong_status(driver):
    url = serve(driver, "bad", answer(503))
    result = driver("--interval", "100ms", "--deadline", "1s", "health", f"http={url}")
    assert (result["result"], result["fault"]) == ("1", "release")
    assert result["error"].startswith(f"GET {url}: status 503, expected 200; ")
    assert result["error"].endswith(" attempts failed")
    assert 0.9 < float(result["seconds"]) < 2
    assert driver("--status", "503", "health", f"http={url}")["result"] == "0"


def test_http_asserts_a_version(driver):
    url = serve(driver, "version", answer(200, body="version 1.4.1 ready", header="X-Version: 1.4.1"))
    options = ["--interval", "100ms", "--deadline", "500ms"]
    assert driver(*options, "--body", "1.4.1", "--header", "x-version: 1.4.1", "health", f"http={url}")["result"] == "0"
    result = driver(*options, "--body", "1.4.2", "health", f"http={url}")
    assert f"GET {url}: '1.4.2' is not in the body; " in result["error"]
    result = driver(*options, "--header", "X-Version: 1.4.2", "health", f"http={url}")
    assert "header 'X-Version: 1.4.2' expected, found '1.4.1'" in result["error"]


def test_http_too_late_and_nobody_there(driver):
    url = serve(driver, "late", answer(200), delay="5")
    options = ["--interval", "100ms", "--timeout", "300ms", "--deadline", "1s"]
    result = driver(*options, "health", f"http={url}", "http=http://127.0.0.1:9/")
    assert result["result"] == "1"
    assert url in result["error"] and "http://127.0.0.1:9/" in result["error"]
    assert float(result["seconds"]) < 2


def test_tcp(driver):
    serve(driver, "good", answer(200))
    assert driver("health", "tcp=127.0.0.1:8081", "tcp=localhost:8081")["result"] == "0"
    result = driver("--interval", "100ms", "--deadline", "300ms", "health", "tcp=127.0.0.1:9")
    assert result["error"].startswith("connect to 127.0.0.1:9: Connection refused; ")
    result = driver("--interval", "100ms", "--deadline", "300ms", "health", "tcp=example.org:80")
    assert "'example.org:80' is not an address and a port" in result["error"]
    result = driver("--interval", "100ms", "--timeout", "200ms", "--deadline", "500ms", "health", "tcp=198.51.100.1:80")
    assert result["result"] == "1"


def test_command(driver):
    driver.sh(f"mkdir -p {RELEASE}")
    driver.instance.put(f"{RELEASE}/check", "#!/bin/sh\ntest \"$APPLICATION_NAME $1\" = 'api now' || "
                                            "{ echo found $1; exit 5; }\n", mode=0o755)
    options = ["--release", RELEASE, "--interval", "100ms", "--deadline", "1s"]
    assert driver(*options, "health", "command=check now")["result"] == "0"
    result = driver(*options, "health", "command=check never")
    assert (result["result"], result["fault"]) == ("1", "release")
    assert result["error"].startswith("command check: exit status 5; its last output: found never; ")
    result = driver(*options, "--timeout", "200ms", "health", "command=/bin/sleep 1000")
    assert "timed out after 200ms" in result["error"]
    assert float(result["seconds"]) < 2.5
    assert not driver.running("sleep 1000")
    assert driver.instance.run("systemctl", "list-units", "--all", "--no-legend", "muster-health-*").text == ""


def test_unit(driver):
    for name, command in (("steady", "sleep 1000"), ("shaky", "sleep 0.3"), ("down", "true")):
        driver.instance.put(f"/etc/systemd/system/{name}.service", f"[Unit]\nStartLimitIntervalSec=0\n[Service]\n"
                            f"ExecStart=/bin/{command}\nRestart={'always' if name == 'shaky' else 'no'}\nRestartSec=50ms\n")
    driver.sh("systemctl daemon-reload; systemctl restart steady shaky down")
    options = ["--interval", "100ms", "--deadline", "3s", "--active", "1s"]
    result = driver(*options, "health", "unit=steady.service")
    assert result["result"] == "0"
    assert float(result["seconds"]) < 2
    result = driver(*options, "health", "unit=shaky.service")
    assert result["result"] == "1"
    assert "unit shaky.service: " in result["error"]
    result = driver("--deadline", "300ms", "health", "unit=down.service", "unit=none.service")
    assert "unit down.service: inactive (dead), expected active" in result["error"]
    assert "unit none.service: systemd knows no such unit" in result["error"]
    driver.sh("systemctl stop steady shaky")


def test_all_must_be_healthy_together(driver):
    url = serve(driver, "good", answer(200))
    driver.sh("rm -f /run/open; (sleep 1; touch /run/open) >/dev/null 2>&1 &")
    result = driver("--interval", "100ms", "health", f"http={url}", "command=/usr/bin/test -e /run/open")
    assert result["result"] == "0"
    assert 0.8 < float(result["seconds"]) < 2.5
    assert driver("health")["result"] == "0"
