"""An instance on which CodeDeploy's agent has deployed an app, which runs."""

import json

GROUP = "1f0c7a3e-5b0d-4a0e-9a3c-0d9a4b1c2e3f"
ROOT = "/opt/codedeploy-agent/deployment-root"
BUNDLE = """\
version: 0.0
os: linux
files:
  - source: site
    destination: /srv/site
  - source: conf/site.conf
    destination: /etc/site
hooks:
  ApplicationStop:
    - location: scripts/stop
  ApplicationStart:
    - location: scripts/start
"""
SCRIPTS = {"scripts/stop": "#!/bin/sh\nkill $(cat /run/site.pid)\necho \"$0\" >>/run/site.stopped\n",
           "scripts/start": "#!/bin/sh\nnohup sleep 100000 >/dev/null 2>&1 &\necho $! >/run/site.pid\n"}


def bundle(instance, folder, site):
    """A bundle of which SITE is installed, by name and content."""
    for path, text in {"appspec.yml": BUNDLE, "conf/site.conf": "colour = blue\n", **SCRIPTS,
                       **{f"site/{name}": text for name, text in site.items()}}.items():
        instance.put(f"{folder}/{path}", text, mode=0o755 if path.startswith("scripts/") else 0o644)


def deploy_as_codedeploy(instance):
    """Leaves what CodeDeploy's agent leaves: bundle, lists, the files in their places, and the process that a script began."""
    folder = f"{ROOT}/{GROUP}/d-ABCDEFGHI"
    bundle(instance, f"{folder}/deployment-archive", {"index.html": "one\n", "old/gone.html": "gone\n"})
    installed = {"/srv/site": None, "/srv/site/index.html": "site/index.html", "/srv/site/old": None,
                 "/srv/site/old/gone.html": "site/old/gone.html", "/etc/site": None, "/etc/site/site.conf": "conf/site.conf"}
    instance.put(f"{ROOT}/deployment-instructions/{GROUP}-cleanup", "".join(f"{path}\n" for path in installed))
    instance.put(f"{ROOT}/deployment-instructions/{GROUP}-install.json", json.dumps({"instructions": [
        {"type": "copy", "source": f"{folder}/deployment-archive/{source}", "destination": path} if source else
        {"type": "mkdir", "directory": path} for path, source in installed.items()]}))
    for name in ("last_successful_install", "most_recent_install"):
        instance.put(f"{ROOT}/deployment-instructions/{GROUP}_{name}", folder)
    instance.put("/etc/codedeploy-agent/conf/codedeployagent.yml", f"---\n:root_dir: '{ROOT}'\n:max_revisions: 2\n")
    instance.put("/etc/systemd/system/codedeploy-agent.service",
                 "[Service]\nExecStart=/bin/sleep 100000\n[Install]\nWantedBy=multi-user.target\n")
    instance.sh(f"mkdir -p /srv/site/old /etc/site; cd {folder}/deployment-archive; cp -p site/index.html /srv/site; "
                "cp -p site/old/gone.html /srv/site/old; cp -p conf/site.conf /etc/site; echo mine >/srv/site/theirs; "
                "scripts/start; systemctl daemon-reload; systemctl enable --now codedeploy-agent")


def look(instance):
    """What is installed: names, owners, modes, inodes and times; and the process."""
    return instance.sh("find /srv/site /etc/site -printf '%p %u %g %m %i %T@\\n' | sort; "
                       "readlink /proc/$(cat /run/site.pid)/exe; cat /proc/$(cat /run/site.pid)/stat | cut -d' ' -f1,22").out
