"""CodeDeploy bundles in the shapes in which AWS and others publish samples: a page for Apache, WordPress, a servlet for Tomcat, a
Node service, a backend whose scripts look for their bundle where CodeDeploy unpacks it, a static site. Each in two versions, with
what the instance must have before, and where to look afterwards.

Their scripts install packages, start services and ask for pages. What they call is on the instance as stand-ins (PREPARE),
since no instance of the lab reaches a package mirror; the bundles know nothing of that."""

import io
import tarfile
import zipfile
from dataclasses import dataclass, field

# A service that is there, a package manager that finds everything installed, a Node that runs, a page that answers, and a
# `service` that does not list all unit files first, which takes Debian's seconds.
PREPARE = """
for name in httpd mariadb tomcat7; do
    cp /bin/sleep /usr/local/sbin/$name
    printf '#!/bin/sh\\n/usr/local/sbin/%s 100000 </dev/null >/dev/null 2>&1 &\\n' $name >/usr/local/sbin/daemon-$name
    printf '[Service]\\nType=forking\\nExecStart=/usr/local/sbin/daemon-%s\\n' $name >/etc/systemd/system/$name.service
    chmod 755 /usr/local/sbin/daemon-$name
done
printf '#!/bin/sh\\necho "$0 $*: nothing to do"\\n' >/usr/local/bin/yum
printf '#!/bin/sh\\nwhile :; do sleep 100000; done\\n' >/usr/local/bin/node
printf '#!/bin/sh\\necho "up to date"\\n' >/usr/local/bin/npm
printf '#!/bin/sh\\nexec systemctl "$2" "$1"\\n' >/usr/local/bin/service
printf '#!/bin/sh\\nsystemctl is-active --quiet tomcat7 && echo 200 || echo 000\\n' >/usr/local/bin/curl
chmod 755 /usr/local/bin/*
useradd --create-home --home-dir /home/ec2-user ec2-user
systemctl daemon-reload
"""


@dataclass
class Bundle:
    """What a build makes: VERSIONS of files by path (a script if it begins with #!), packed as KIND."""
    kind: str
    versions: list
    places: list  # what is looked at
    processes: list = field(default_factory=list)  # names of programs that may run
    prepare: str = ""
    umask: int = 0o022  # of the build; 002 as git has it

    def _mode(self, text):
        return (0o777 if text.startswith("#!") else 0o666) & ~self.umask

    def archive(self, version):
        """The bytes of one version, as a build's archive."""
        files = self.versions[version]
        out = io.BytesIO()
        if self.kind == "zip":
            with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
                for path, text in files.items():
                    info = zipfile.ZipInfo(path, (2026, 1, 2, 3, 4, 6))
                    info.external_attr = (0o100000 | self._mode(text)) << 16
                    info.create_system = 3
                    archive.writestr(info, text)
            return out.getvalue()
        with tarfile.open(fileobj=out, mode="w:gz" if self.kind == "tgz" else "w") as archive:
            for path, text in files.items():
                info = tarfile.TarInfo(path)
                info.size, info.mode, info.mtime = len(text), self._mode(text), 1767323046
                archive.addfile(info, io.BytesIO(text.encode()))
        return out.getvalue()


def _script(*lines):
    return "\n".join(("#!/bin/bash", *lines, ""))


def _apache(page):
    return {
        "appspec.yml": """\
version: 0.0
os: linux
files:
  - source: /index.html
    destination: /var/www/html/
hooks:
  BeforeInstall:
    - location: scripts/install_dependencies
      timeout: 300
      runas: root
    - location: scripts/start_server
      timeout: 300
      runas: root
  ApplicationStop:
    - location: scripts/stop_server
      timeout: 300
      runas: root
""",
        "index.html": page,
        "LICENSE.txt": "free\n",
        "scripts/install_dependencies": _script("yum install -y httpd"),
        "scripts/start_server": _script("service httpd start"),
        "scripts/stop_server": _script('running=`pgrep httpd`', 'if [[ -n $running ]]; then', '    service httpd stop', 'fi'),
    }


def _wordpress(files):
    return {
        "appspec.yml": """\
version: 0.0
os: linux
files:
  - source: /
    destination: /var/www/html/WordPress
hooks:
  BeforeInstall:
    - location: scripts/install_dependencies.sh
      timeout: 300
      runas: root
  AfterInstall:
    - location: scripts/change_permissions.sh
      timeout: 300
      runas: root
  ApplicationStart:
    - location: scripts/start_server.sh
    - location: scripts/create_test_db.sh
      timeout: 300
      runas: root
  ApplicationStop:
    - location: scripts/stop_server.sh
      timeout: 300
      runas: root
""",
        "index.php": "<?php require 'wp-blog-header.php';\n",
        "wp-admin/index.php": "<?php // admin\n",
        **files,
        "scripts/install_dependencies.sh": _script("yum groupinstall -y \"PHP Support\"", "yum install -y httpd mariadb-server"),
        "scripts/change_permissions.sh": _script("chmod -R 777 /var/www/html/WordPress"),
        "scripts/start_server.sh": _script("service mariadb start", "service httpd start"),
        "scripts/create_test_db.sh": _script("echo 'CREATE DATABASE IF NOT EXISTS test;' >/var/www/html/WordPress/.db"),
        "scripts/stop_server.sh": _script('if [[ -n `pgrep httpd` ]]; then service httpd stop; fi',
                                          'if [[ -n `pgrep mariadb` ]]; then service mariadb stop; fi'),
    }


def _tomcat(war):
    return {
        "appspec.yml": """\
version: 0.0
os: linux
files:
  - source: /target/Sample.war
    destination: /tmp/staging-area/
  - source: /scripts/port.xsl
    destination: /tmp/staging-area/
hooks:
  ApplicationStop:
    - location: scripts/stop_application
      timeout: 300
  BeforeInstall:
    - location: scripts/install_dependencies
      timeout: 300
  ApplicationStart:
    - location: scripts/write_config.sh
    - location: scripts/start_application
      timeout: 300
  ValidateService:
    - location: scripts/health_check.sh
""",
        "target/Sample.war": war,
        "scripts/port.xsl": "<xsl/>\n",
        "scripts/install_dependencies": _script("set -e", "{ which java; } || { yum install java; }",
                                                "mkdir -p /usr/share/tomcat7-app/webapps"),
        "scripts/write_config.sh": _script("set -e", "mkdir -p /var/tomcat-sample",
                                           "cat <<EOF >/var/tomcat-sample/env.properties",
                                           "EVENT=$LIFECYCLE_EVENT", "APPLICATION=$APPLICATION_NAME", "EOF"),
        "scripts/start_application": _script("set -e", "cp /tmp/staging-area/Sample.war /usr/share/tomcat7-app/webapps/ROOT.war",
                                             "service tomcat7 start"),
        "scripts/stop_application": _script("set -e", "service tomcat7 stop"),
        "scripts/health_check.sh": _script("for i in `seq 1 10`; do",
                                           "  code=`curl --write-out '%{http_code}' -o /dev/null -m 10 -q -s http://localhost:80`",
                                           '  if [ "$code" == "200" ]; then', "    echo Successfully pulled root page.",
                                           "    exit 0", "  fi", "  sleep 1", "done", "exit 1"),
    }


def _node(files):
    return {
        "appspec.yml": """\
version: 0.0
os: linux
files:
  - source: /
    destination: /home/ec2-user/node-app
permissions:
  - object: /home/ec2-user/node-app
    pattern: "**"
    owner: ec2-user
    group: ec2-user
hooks:
  ApplicationStop:
    - location: scripts/stop.sh
      timeout: 60
      runas: ec2-user
  AfterInstall:
    - location: scripts/install.sh
      timeout: 300
      runas: ec2-user
  ApplicationStart:
    - location: scripts/start.sh
      timeout: 60
      runas: ec2-user
""",
        "app.js": "require('http')\n",
        **files,
        "scripts/install.sh": _script("cd /home/ec2-user/node-app", "npm install"),
        "scripts/start.sh": _script("cd /home/ec2-user/node-app", "nohup node app.js >/home/ec2-user/app.log 2>&1 &"),
        "scripts/stop.sh": _script("pkill -u ec2-user -f 'node app.js'", "exit 0"),
    }


def _site(files):
    return {
        "appspec.yml": """\
version: 0.0
os: linux
files:
  - source: html
    destination: /srv/www
  - source: conf/site.conf
    destination: /etc/site
file_exists_behavior: OVERWRITE
permissions:
  - object: /srv/www
    pattern: "*.html"
    except: [secret.html]
    owner: www-data
    group: www-data
    mode: 644
    type:
      - file
  - object: /srv/www
    pattern: "secret.*"
    owner: www-data
    mode: "0600"
    type: [file]
  - object: /srv/www
    type: [directory]
    mode: 2750
    group: www-data
  - object: /etc/site/site.conf
    mode: 440
    type: [file]
""",
        "html/index.html": "<h1>hello</h1>\n",
        "html/secret.html": "<h1>psst</h1>\n",
        "conf/site.conf": "colour = blue\n",
        **files,
    }


def _backend(files):
    archive = "/opt/codedeploy-agent/deployment-root/$DEPLOYMENT_GROUP_ID/$DEPLOYMENT_ID/deployment-archive"
    return {
        "appspec.yml": """\
version: 0.0
os: linux
files:
  - source: /
    destination: /var/www/html/backend
hooks:
  BeforeInstall:
    - location: .deploy/install_dependencies.sh
    - location: .deploy/nginx/configure.sh
      timeout: 300
      runas: root
  AfterInstall:
    - location: .deploy/change_permissions.sh
      timeout: 300
      runas: root
""",
        ".deploy/install_dependencies.sh": _script("yum install -y nginx", "mkdir -p /etc/nginx/conf.d"),
        ".deploy/nginx/configure.sh": _script(f"cp {archive}/.deploy/nginx/default.conf /etc/nginx/conf.d/"),
        ".deploy/change_permissions.sh": _script("chmod -R 775 /var/www/html/backend",
                                                 f"cp {archive}/.deploy/env /var/www/html/backend/.env"),
        ".deploy/env": "APP_ENV=production\n",
        **files,
    }


BUNDLES = {
    "apache": Bundle("zip", [_apache("one\n"), _apache("two\n")], ["/var/www"], ["httpd"]),
    "wordpress": Bundle("tgz", [_wordpress({"wp-old.php": "old\n", "wp-content/a.css": "a\n"}),
                                _wordpress({"wp-content/b.css": "b\n"})], ["/var/www/html/WordPress"], ["httpd", "mariadb"]),
    "tomcat": Bundle("tar", [_tomcat("war one\n"), _tomcat("war two\n")],
                     ["/tmp/staging-area", "/usr/share/tomcat7-app", "/var/tomcat-sample"], ["tomcat7"], umask=0o002),
    "node": Bundle("zip", [_node({"old.js": "old\n"}), _node({"new.js": "new\n"})], ["/home/ec2-user/node-app"], ["node"],
                   umask=0o002),
    "backend": Bundle("tar", [_backend({".deploy/nginx/default.conf": "listen 80\n", "artisan": "old\n"}),
                              _backend({".deploy/nginx/default.conf": "listen 81\n", "composer.json": "{}\n"})],
                      ["/var/www/html/backend", "/etc/nginx"]),
    "site": Bundle("tgz", [_site({"html/old/gone.html": "gone\n", "html/a.css": "a\n"}),
                           _site({"html/new/page.html": "page\n", "html/a.css": "b\n"})], ["/srv/www", "/etc/site"],
                   prepare="mkdir -p /srv/www /etc/site; echo before >/srv/www/index.html; echo theirs >/srv/www/theirs.html; "
                           "chmod 700 /etc/site", umask=0o002),
}


def look(instance, bundle):
    """What a deployment has left: type, owner, mode, content and path of each thing in the bundle's places, and who runs what."""
    places = " ".join(bundle.places)
    found = instance.sh(f"find {places} \\( -type d -printf 'd %u:%g %m - %p\\n' \\) -o \\( -type l -printf 'l %u:%g - %l %p\\n' "
                        f"\\) -o -printf 'f %u:%g %m # %p\\n'; find {places} -type f -exec sha256sum {{}} +").out.splitlines()
    digests = {line.split(None, 1)[1]: line[:12] for line in found if len(line.split(None, 1)[0]) == 64}
    lines = sorted((line for line in found if len(line.split(None, 1)[0]) == 1), key=lambda line: line.rsplit(" ", 1)[1])
    lines = [line.replace(" # ", f" {digests.get(line.rsplit(' ', 1)[1])} ") for line in lines]
    running = instance.sh("ps -eo user:20,args --no-headers").out.splitlines()
    lines += sorted({f"runs {' '.join(line.split())}" for line in running
                     if any(f"/{name} " in line or f" {name} " in line for name in bundle.processes)})
    return "".join(f"{line}\n" for line in lines)
