"""agent/terraform, as far as it can be tried without AWS: it parses, what it names is there, its policies are README's, and moto lets
each of the roles do what it is for and nothing else."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import hcl2
import pytest
from rig.desk import DENIED, Desk
from rig.moto import CHECKS_OFF, CHECKS_ON, REGION, Moto
from test_doctor import BUCKET, GROUP, readme_policies

MODULE = Path(__file__).parents[2] / "agent/terraform"
NAMES = {"partition": "aws", "bucket": BUCKET, "prefix": "muster", "app": "api", "group": GROUP}


def render(name, **more):
    """A template as templatefile() renders it: ${name} is a value, $${ is ${."""
    text = (MODULE / name).read_text()
    return re.sub(r"(\$?)\$\{([^}]*)\}", lambda m: "${" + m[2] + "}" if m[1] else {**NAMES, **more}[m[2]], text)


def policy(name, **more):
    return json.loads(render(f"policies/{name}.json", **more))


def test_it_parses():
    """Variables, resources and templates that are named exist, and no others do."""
    whole = "".join(path.read_text() for path in sorted(MODULE.glob("*.tf")))
    for path in MODULE.glob("*.tf"):
        with path.open() as stream:
            assert hcl2.load(stream), path
    declared = set(re.findall(r'^variable "(\w+)"', whole, re.M))
    assert set(re.findall(r"\bvar\.(\w+)", whole)) == declared
    made = {f"{kind}.{name}" for kind, name in re.findall(r'^resource "(\w+)" "(\w+)"', whole, re.M)}
    made |= {f"data.{kind}.{name}" for kind, name in re.findall(r'^data "(\w+)" "(\w+)"', whole, re.M)}
    assert set(re.findall(r"\b((?:data\.)?aws_\w+\.\w+)", re.sub(r"^#.*", "", whole, flags=re.M))) <= made
    templates = set(re.findall(r'templatefile\("\$\{path\.module\}/([^"]+)"', whole))
    assert templates == {str(p.relative_to(MODULE)) for p in MODULE.rglob("*") if p.is_file() and p.suffix != ".tf"}
    if shutil.which("terraform"):
        subprocess.run(["terraform", "fmt", "-check", "-diff", MODULE], check=True, env={"PATH": "/usr/local/bin:/usr/bin:/bin"})


def test_readme_uses_it_without_a_cycle():
    """What a group needs (its launch template, so the role) cannot need the group: its name is given in words."""
    text = (MODULE.parents[1] / "README.md").read_text()
    whole = hcl2.loads(re.search(r"^```hcl\n(.*?)^```", text, re.S | re.M)[1])
    given = {key.strip('"'): value for name in whole["module"] for key, value in next(iter(name.values())).items()}
    variables = (MODULE / "variables.tf").read_text()
    wanted = {name for name, body in re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', variables, re.S | re.M) if "default" not in body}
    assert wanted <= set(given)
    assert given["auto_scaling_group"].strip('"') == GROUP and "aws_autoscaling_group" in str(given["auto_scaling_group_id"])


def test_policies_are_those_of_readme():
    """But for a queue that is given, which the module has no use for; and for its one group."""
    def plain(statements):
        found = []
        for statement in statements:
            left = {key: value for key, value in statement.items() if key != "Sid"}
            found.append(json.dumps(left, sort_keys=True).replace("groups/*/", f"groups/{GROUP}/"))
        return sorted(found)
    wanted = [s for s in readme_policies() if not ("sqs:" in str(s["Action"]) and "Condition" not in s)]
    assert plain(policy("instance")["Statement"]) == plain(wanted)
    assert policy("topic", topic="arn:aws:sns:r:1:t", account="1")["Statement"][0]["Condition"]["ArnEquals"] == {
        "aws:SourceArn": f"arn:aws:s3:::{BUCKET}"}
    assert policy("trust")["Statement"][0]["Principal"] == {"Service": "ec2.amazonaws.com"}
    assert policy("key", key="arn:k")["Statement"][0]["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]


def test_configuration_is_good(built, tmp_path):
    (tmp_path / "muster.conf").write_text(render("muster.conf", role="AROA123456789EXAMPLE",
                                                  topic="arn:aws:sns:eu-central-1:123456789012:api-prod"))
    checked = subprocess.run([Path(__file__).parents[2] / "build/gcc/musterd", "--check-config", "--config",
                              tmp_path / "muster.conf"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


@pytest.fixture
def people(built, tmp_path):
    """moto with the bucket and a user for each role: role -> the environment of a desk."""
    moto = Moto(tmp_path)
    moto.check(CHECKS_OFF)
    moto.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    made = {}
    for role in ("publisher", "operator"):
        made[role] = {"AWS_ENDPOINT_URL": moto.url, "AWS_REGION": REGION, "MUSTER_DEPOT": f"s3://{BUCKET}/muster", **moto.user(role)}
        moto.allow(role, render(f"policies/{role}.json"))
    moto.check(CHECKS_ON)
    yield made
    moto.close()


def test_each_does_its_part(people, tmp_path):
    desk = Desk(tmp_path)
    desk.trust()
    desk.app()
    publisher, operator = people["publisher"], people["operator"]
    publish = ("publish", "app", "--app", "api", "--version", "1.0", "--key", "release.key")
    set_target = ("target", "set", "--app", "api", "--group", GROUP, "--version", "1.0", "--key", "target.key")
    desk.fails(DENIED, "not allowed", *publish, env=operator)
    desk.ok(*publish, env=publisher)
    desk.fails(DENIED, "not allowed", *set_target, env=publisher)
    desk.ok(*set_target, env=operator)
    desk.ok("target", "show", "--app", "api", "--group", GROUP, env=operator)
