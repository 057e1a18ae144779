"""moto of a test's own, on loopback, that checks who asks: signatures, session tokens and IAM policies. No root is needed."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3
from botocore.config import Config

REGION = "eu-central-1"
BUCKET = "depot"
CHECKS_OFF, CHECKS_ON = "inf", "0"
POLICY = """{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"""


class Moto:
    """A moto server of its own that checks who asks, and one user who may do everything."""

    def __init__(self, folder):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.log = (folder / "moto.log").open("wb")
        server = Path(sys.executable).with_name("moto_server")
        self.process = subprocess.Popen([server, "-p", str(port)], stdout=self.log, stderr=self.log,
                                        env={"PATH": os.environ["PATH"], "INITIAL_NO_AUTH_ACTION_COUNT": "100000"})
        self._wait(port)
        self.check(CHECKS_OFF)
        self.keys = self.user("tester")
        self.allow("tester", POLICY)
        self.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})

    def _wait(self, port):
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port), 0.1).close()
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)  # until moto has been imported
        raise RuntimeError("moto does not start")

    def client(self, service):
        return boto3.client(service, region_name=REGION, endpoint_url=self.url, aws_access_key_id="x",
                            aws_secret_access_key="y", config=Config(retries={"total_max_attempts": 1}))

    def user(self, name):
        """Makes a user who may do nothing yet; the variables that say so."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    def allow(self, name, policy):
        """The one policy of a user."""
        self.client("iam").put_user_policy(UserName=name, PolicyName="all", PolicyDocument=policy)

    def check(self, after):
        """From how many actions on signatures are checked."""
        request = urllib.request.Request(f"{self.url}/moto-api/reset-auth", after.encode(), {"Content-Type": "text/plain"})
        urllib.request.urlopen(request).close()

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()
