"""The cloud of one run: moto behind the fault proxy, the name server, the metadata service, identities and buckets."""

import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import host
from .host import LabError
from .imds import TIMESTAMP, Metadata, MetadataService
from .names import Authority, NameServer
from .network import CLOUD_ADDRESS, METADATA_ADDRESS
from .proxy import Proxy
from .sigv4 import Key
from .web import Server

REGION = "eu-central-1"
ZONE = "eu-central-1a"
ACCOUNT = "123456789012"
MOTO_PORT = 5000
ENDPOINT = f"http://{CLOUD_ADDRESS}"
INSTANCE_ROLE = "muster-instance"
CREDENTIALS_LAST = 6 * 3600
_CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"

# The command sees the cloud's name server and trusts its certificates; nothing outside it changes.
_AS_INSIDE = 'mount --bind "$1" /etc/resolv.conf && mount --bind "$2" ' + _CA_BUNDLE + ' && shift 2 && exec "$@"'


class _Client:
    """A boto3 client whose calls are made from inside the cloud's network."""

    def __init__(self, netns, client):
        self._netns, self._client = netns, client

    def __getattr__(self, name):
        method = getattr(self._client, name)
        return lambda **arguments: host.in_network(self._netns, method, **arguments)


class Cloud:
    def __init__(self, lab):
        self.lab = lab
        self.netns = lab.network.cloud
        self.folder = lab.run.folder / "cloud"
        self.folder.mkdir()
        self._clients = {}
        self._process = self._start_moto()
        self.proxy = Proxy(MOTO_PORT, REGION)
        self.metadata = MetadataService()
        self.authority = Authority(self.folder, [REGION, "us-east-1", "us-west-2"], [CLOUD_ADDRESS])
        self.name_server = NameServer(self.netns, CLOUD_ADDRESS)
        tls = self.authority.context()
        self._servers = [Server(self.netns, CLOUD_ADDRESS, 80, self.proxy.answer),
                         Server(self.netns, CLOUD_ADDRESS, 443, self.proxy.answer, tls),
                         Server(self.netns, METADATA_ADDRESS, 80, self.metadata.answer)]
        self.operator = self.user("operator")
        (self.folder / "resolv.conf").write_text(f"nameserver {CLOUD_ADDRESS}\n")
        bundle = Path(_CA_BUNDLE).read_bytes() if Path(_CA_BUNDLE).exists() else b""
        (self.folder / "bundle.pem").write_bytes(bundle + self.authority.certificate.read_bytes())
        self._role()

    def reset(self):
        """What the test before has left behind is gone: a clock that is right, empty logs, no faults. What moto holds stays."""
        self.proxy.reset()
        self.metadata.fault = None
        self.metadata.log.clear()

    # moto

    def _start_moto(self):
        server = Path(sys.executable).with_name("moto_server")
        if not server.exists():
            raise LabError("moto is not there: run tests/setup, and the tests with build/venv/bin/python")
        log = self.folder / "moto.log"
        process = self.lab.run.spawn([server, "-H", "127.0.0.1", "-p", MOTO_PORT], "moto", netns=self.netns, log=log,
                                     env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "MOTO_ACCOUNT_ID": ACCOUNT})

        def ready():
            if process.poll() is not None:
                raise LabError(f"moto ended:\n{log.read_text()}")
            return "Running on" in log.read_text()
        host.wait_for(ready, 30, "moto to start")
        return process

    def _boto(self, service, **arguments):
        import boto3
        from botocore.config import Config
        config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30,
                        s3={"addressing_style": "path"})
        return _Client(self.netns, boto3.client(service, region_name=REGION, config=config, **arguments))

    def client(self, service):
        """A boto3 client that talks to moto directly, past the proxy, its faults and its log."""
        if service not in self._clients:
            self._clients[service] = self._boto(service, endpoint_url=f"http://127.0.0.1:{MOTO_PORT}",
                                                aws_access_key_id="lab", aws_secret_access_key="lab")
        return self._clients[service]

    def client_of(self, key, service):
        """A boto3 client that talks to the proxy, as somebody with a key."""
        return self._boto(service, endpoint_url=ENDPOINT, aws_access_key_id=key.access_key,
                          aws_secret_access_key=key.secret, aws_session_token=key.token)

    # Identities

    def user(self, name):
        """Makes a user with a key pair that the endpoints accept."""
        key = Key("AKIA" + secrets.token_hex(8).upper(), secrets.token_urlsafe(30), identity=name)
        self.proxy.keys[key.access_key] = key
        return key

    def _role(self):
        trust = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},' \
                '"Action":"sts:AssumeRole"}]}'
        self.client("iam").create_role(RoleName=INSTANCE_ROLE, AssumeRolePolicyDocument=trust)

    def role_credentials(self, instance_id, lasts=CREDENTIALS_LAST):
        """Credentials of the instance role, as the metadata service gives them; the session is named by the instance,
        so GetCallerIdentity and aws:userid say which one it is."""
        answer = self.client("sts").assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{INSTANCE_ROLE}",
                                                RoleSessionName=instance_id)
        given = answer["Credentials"]
        expires = self.proxy.now() + lasts
        identity = answer["AssumedRoleUser"]["AssumedRoleId"]
        self.proxy.keys[given["AccessKeyId"]] = Key(given["AccessKeyId"], given["SecretAccessKey"],
                                                    given["SessionToken"], expires, identity)
        return {"Code": "Success", "LastUpdated": time.strftime(TIMESTAMP, time.gmtime(self.proxy.now())),
                "Type": "AWS-HMAC", "AccessKeyId": given["AccessKeyId"], "SecretAccessKey": given["SecretAccessKey"],
                "Token": given["SessionToken"], "Expiration": time.strftime(TIMESTAMP, time.gmtime(expires))}

    # What tests do with it

    def bucket(self, name=None):
        """Makes a bucket and returns its name."""
        name = name or f"depot-{secrets.token_hex(4)}"
        self.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name

    def objects(self, bucket, prefix=""):
        """The keys in a bucket."""
        listed = self.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for item in listed.get("Contents", [])]

    def read(self, bucket, key):
        """What an object holds. moto answers 500 to those who read while it is replaced; S3 does not."""
        from botocore.exceptions import ClientError

        def got():
            try:
                return [self.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()]
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != 500:
                    raise
                return None
        return host.wait_for(got, 10, f"{key} to be read")[0]

    def fault(self, act, times=None, **match):
        """See Proxy.fault() and faults.py."""
        return self.proxy.fault(act, times, **match)

    def set_clock(self, offset):
        """The cloud's clock runs `offset` seconds ahead of ours from now on."""
        self.proxy.clock_offset = offset

    def attach(self, instance, **metadata):
        """Gives an instance its metadata, its role and the trust in the cloud's certificates. Before its boot."""
        cached = {}

        def credentials():
            if not cached or cached["until"] < self.proxy.now():
                cached["document"] = self.role_credentials(instance.id)
                cached["until"] = self.proxy.now() + CREDENTIALS_LAST - 600
            return cached["document"]
        known = Metadata(instance.id, instance.address, REGION, ZONE, ACCOUNT, role=INSTANCE_ROLE,
                         credentials=credentials, launched=time.time())
        for name, value in metadata.items():
            setattr(known, name, value)
        self.metadata.instances[instance.address] = known
        certificate = self.authority.certificate.read_bytes()
        instance.put("/usr/local/share/ca-certificates/lab.crt", certificate)
        bundle = (instance.root / _CA_BUNDLE.lstrip("/")).read_bytes()
        instance.put(_CA_BUNDLE, bundle + certificate)
        instance.put(f"{Path(_CA_BUNDLE).parent}/{self.authority.hash}.0", certificate)  # as openssl-rehash(1) does
        return known

    def environment(self, key=None, endpoint=None):
        """The environment of somebody with a key (the operator's if none is given): AWS's own names over TLS, or with
        endpoint=ENDPOINT the proxy by its address."""
        key = key or self.operator
        variables = {"AWS_ACCESS_KEY_ID": key.access_key, "AWS_SECRET_ACCESS_KEY": key.secret, "AWS_REGION": REGION}
        if key.token:
            variables["AWS_SESSION_TOKEN"] = key.token
        if endpoint:
            variables["AWS_ENDPOINT_URL"] = endpoint
        return variables

    def run(self, *argv, check=True, env=None, timeout=120, cwd=None, input=None):
        """Runs a command of this machine as an operator would, with the cloud as its AWS."""
        command = ["nsenter", f"--net=/run/netns/{self.netns}", "unshare", "--mount", "sh", "-c", _AS_INSIDE, "sh",
                   self.folder / "resolv.conf", self.folder / "bundle.pem", *argv]
        variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.folder), "LANG": "C.UTF-8",
                     **self.environment(), **(env or {})}
        result = subprocess.run([str(a) for a in command], text=True, capture_output=True, timeout=timeout, cwd=cwd,
                                env=variables, input=input)
        if check and result.returncode != 0:
            raise LabError(f"{' '.join(map(str, argv))}: exit status {result.returncode}\n"
                           f"{result.stdout}{result.stderr}")
        return result

    def get(self, url, timeout=2):
        """GETs a URL from inside the cloud's network: (status, headers, body); None when it does not answer."""
        import urllib.error
        import urllib.request

        def ask():
            try:
                with urllib.request.urlopen(url, timeout=timeout) as answer:
                    return answer.status, dict(answer.headers), answer.read()
            except urllib.error.HTTPError as error:
                return error.code, dict(error.headers), error.read()
            except (OSError, ValueError):
                return None
        return host.in_network(self.netns, ask)

    def close(self):
        for server in self._servers:
            server.close()
        self.name_server.close()
        host.cgroup_kill(f"{self.lab.run.cgroup}/moto")
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
