"""Signed documents, between muster and other implementations of DSSE and Ed25519: python3-cryptography and openssl(1).

Envelopes that Python signs are verified by muster, what muster signs is verified by Python and by openssl, and each of
them refuses what was changed. Run as a program, this file writes the golden documents of the unit tests anew. Boots
nothing."""

import base64
import copy
import datetime
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

TOP = Path(__file__).resolve().parents[2]
GOLDEN = TOP / "tests/unit/data/documents"
MUSTER = TOP / "build/gcc/muster"
OK, INPUT, DENIED = 0, 3, 4

# RFC 8032, section 7.1, TEST 1 to TEST 3.
SEEDS = ["9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
         "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"]


class Key:
    """A private key and what others know of it."""

    def __init__(self, private):
        self.private = private
        self.public = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.id = hashlib.sha256(self.public).hexdigest()

    def pem(self):
        return self.private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                          serialization.NoEncryption())

    def public_pem(self):
        return self.private.public_key().public_bytes(serialization.Encoding.PEM,
                                                      serialization.PublicFormat.SubjectPublicKeyInfo)


KEYS = [Key(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))) for seed in SEEDS]


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def pae(kind, payload):
    """DSSE's pre-authentication encoding: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md"""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def media_type(name):
    return f"application/vnd.muster.{name}.v1+json"


def envelope(name, payload, keys):
    kind = media_type(name)
    return {"payloadType": kind, "payload": base64.b64encode(payload).decode(),
            "signatures": [{"keyid": key.id, "sig": base64.b64encode(key.private.sign(pae(kind, payload))).decode()}
                           for key in keys]}


def good_signers(signed, known):
    """The ids of the KNOWN keys (id: raw public bytes) whose signatures on an envelope are good."""
    data = pae(signed["payloadType"], base64.b64decode(signed["payload"], validate=True))
    good = set()
    for signature in signed["signatures"]:
        public = known.get(signature["keyid"])
        if public:
            Ed25519PublicKey.from_public_bytes(public).verify(base64.b64decode(signature["sig"]), data)
            good.add(signature["keyid"])
    return good


def digest_of(number):
    return hashlib.sha256(b"chunk %d" % number).hexdigest()


def new_root(issued="2026-11-21T08:00:00Z", expires="2027-11-21T08:00:00Z"):
    """Keys 1 and 2 sign roots, both of them; key 2 releases; key 3 targets and freshness."""
    def role(threshold, *keys):
        return {"keyids": [key.id for key in keys], "threshold": threshold}

    return {"version": 1, "issued": issued, "expires": expires, "min_agent": "0.1",
            "keys": {key.id: {"type": "ed25519", "public": base64.b64encode(key.public).decode()} for key in KEYS},
            "roles": {"root": role(2, KEYS[0], KEYS[1]), "release": role(1, KEYS[1]), "target": role(1, KEYS[2]),
                      "freshness": role(1, KEYS[2])}}


RELEASE = {
    "app": "api", "version": "1.4.2", "created": "2026-11-21T09:00:00Z", "min_agent": "0.1",
    "artifacts": {
        "linux/amd64": {"sha256": digest_of(100), "size": 2100000, "format": "tar.zst", "unpacked_size": 6120038,
                        "entries": 53, "chunk_size": 1048576, "chunks": [digest_of(0), digest_of(1), digest_of(2)]},
        "any": {"sha256": digest_of(101), "size": 1048576, "format": "zip", "unpacked_size": 0, "entries": 0,
                "chunk_size": 1048576, "chunks": [digest_of(3)]}},
    "hooks": {"ApplicationStop": [{"location": "hooks/stop", "timeout": "1h"}],
              "AfterInstall": [{"location": "hooks/migrate", "args": ["--quick", "größer"], "timeout": "5m",
                                "runas": "api"},
                               {"location": "hooks/warm", "timeout": "1h"}]},
    "units": [{"name": "api.service", "file": "units/api.service", "on_deploy": "reload"},
              {"name": "api-worker@.service", "file": "units/api-worker@.service", "on_deploy": "none"},
              {"name": "nginx.service", "on_deploy": "reload-or-restart"},
              {"name": "api-clean.timer", "file": "units/api-clean.timer", "on_deploy": "restart"}],
    "health": [{"type": "http", "url": "http://127.0.0.1:8080/healthz", "status": 200, "body": "ok",
                "header": "X-Version: 1.4.2", "interval": "1s", "timeout": "2s", "healthy": 3, "deadline": "1m"},
               {"type": "tcp", "address": "[::1]:6379", "interval": "500ms", "timeout": "2s", "healthy": 1,
                "deadline": "1m"},
               {"type": "command", "command": ["bin/check", "--deep"], "runas": "api", "interval": "1s",
                "timeout": "2s", "healthy": 1, "deadline": "1m"},
               {"type": "unit", "unit": "api.service", "active": "5s", "interval": "1s", "timeout": "2s", "healthy": 1,
                "deadline": "1m"}],
    "env": {"GOMAXPROCS": "4", "GREETING": "\"grüß\" dich = x", "EMPTY": ""}}

TARGET = {
    "app": "api", "group": "prod", "serial": 18, "issued": "2026-11-21T10:00:00Z", "min_agent": "0.1",
    "release_floor": "2026-01-01T00:00:00Z",
    "stable": {"version": "1.4.1", "release_sha256": digest_of(200)},
    "candidate": {"version": "1.4.2", "release_sha256": hashlib.sha256(canonical(RELEASE)).hexdigest()},
    "rollout": {"id": "r-20261121-1", "not_before": "2026-11-21T11:00:00Z",
                "stages": [{"count": 1, "bake": "10m"}, {"percent": 25, "bake": "10m"}, {"percent": 100, "bake": "0s"}],
                "max_failures": 1, "promote": "auto"},
    "max_parallel": "25%", "urgent": False, "pinned": False, "env": {"LOG_LEVEL": "info"},
    "freeze": [{"from": "2026-12-24T00:00:00Z", "until": "2026-12-27T00:00:00Z", "reason": "Christmas"}]}

FRESHNESS = {
    "app": "api", "group": "prod", "serial": 18, "target_sha256": hashlib.sha256(canonical(TARGET)).hexdigest(),
    "issued": "2026-11-21T10:00:00Z", "expires": "2026-11-28T10:00:00Z", "min_agent": "0.1"}

DOCUMENTS = {"release": (RELEASE, KEYS[1:2]), "target": (TARGET, KEYS[2:]), "freshness": (FRESHNESS, KEYS[2:])}


def golden_files():
    """Name and content of each golden file."""
    for name, (document, keys) in {"root": (new_root(), KEYS[:2]), **DOCUMENTS}.items():
        payload = canonical(document)
        yield f"{name}.json", payload
        yield f"{name}.envelope.json", canonical(envelope(name, payload, keys))


@pytest.mark.parametrize("name, content", list(golden_files()))
def test_golden_file(name, content):
    """The unit tests compare muster's own bytes with these files, so here two implementations meet."""
    assert (GOLDEN / name).read_bytes() == content


class Desk:
    """A folder with a trust root that is good today, and the command."""

    def __init__(self, folder):
        self.folder = folder
        today = datetime.datetime.now(datetime.timezone.utc)
        self.root = new_root(expires=(today + datetime.timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ"))
        self.write("root.json", envelope("root", canonical(self.root), KEYS[:2]))

    def write(self, name, document):
        (self.folder / name).write_bytes(canonical(document))

    def muster(self, *words):
        return subprocess.run([MUSTER, *words], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False,
                              env={"PATH": "/usr/bin:/bin", "MUSTER_CONFIG": str(self.folder / "none.conf")})

    def verify(self, document):
        """Exit status and the one line that `muster verify` says of an envelope."""
        self.write("document.json", document)
        done = self.muster("verify", "document.json", "--root", "root.json")
        said = done.stderr or done.stdout.splitlines()[0]
        assert done.returncode == OK or said.count("\n") == 1, said
        return done.returncode, said


@pytest.fixture(scope="module", autouse=True)
def built():
    subprocess.run(["make", "--no-print-directory", "-s", "all"], cwd=TOP, check=True)


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_muster_believes_python(desk, name):
    document, keys = DOCUMENTS[name]
    status, said = desk.verify(envelope(name, canonical(document), keys))
    assert status == OK, said
    assert f"good: {name}" in said


def test_any_encoding_of_the_payload(desk):
    """Only the signed bytes count: their order, white space and base64's alphabet are the signer's."""
    payload = json.dumps(RELEASE, indent=2, ensure_ascii=True).encode() + b"\n"
    signed = envelope("release", payload, KEYS[1:2])
    assert desk.verify(signed)[0] == OK
    signed["payload"] = base64.urlsafe_b64encode(payload).decode()
    signed["signatures"][0]["sig"] = base64.urlsafe_b64encode(base64.b64decode(signed["signatures"][0]["sig"])).decode()
    assert desk.verify(signed)[0] == OK


def flip(text, at):
    data = bytearray(base64.b64decode(text))
    data[at] ^= 1
    return base64.b64encode(bytes(data)).decode()


def changed(change):
    signed = envelope("release", canonical(RELEASE), KEYS[1:2])
    change(signed)
    return signed


@pytest.mark.parametrize("change", [
    lambda e: e.update(payload=flip(e["payload"], 0)),
    lambda e: e.update(payload=flip(e["payload"], -1)),
    lambda e: e["signatures"][0].update(sig=flip(e["signatures"][0]["sig"], 0)),
    lambda e: e["signatures"][0].update(sig=flip(e["signatures"][0]["sig"], -1)),
    lambda e: e["signatures"][0].update(keyid=KEYS[0].id),
    lambda e: e["signatures"][0].update(keyid=KEYS[2].id),
    lambda e: e.update(payloadType=media_type("target")),
], ids=["first byte", "last byte", "signature's R", "signature's S", "a key of no such role", "another key", "type"])
def test_muster_refuses_what_was_changed(desk, change):
    assert desk.verify(changed(lambda e: None))[0] == OK
    assert desk.verify(changed(change))[0] == DENIED


def test_a_role_is_needed(desk):
    for key in (KEYS[0], KEYS[2]):
        assert desk.verify(envelope("release", canonical(RELEASE), [key]))[0] == DENIED
    assert desk.verify(envelope("release", canonical(RELEASE), [KEYS[2], KEYS[1], KEYS[0]]))[0] == OK


def test_same_key_counts_once(desk):
    desk.root["roles"]["release"] = {"keyids": [KEYS[0].id, KEYS[1].id], "threshold": 2}
    desk.write("root.json", envelope("root", canonical(desk.root), KEYS[:2]))
    signed = envelope("release", canonical(RELEASE), KEYS[1:2])
    signed["signatures"].append(copy.deepcopy(signed["signatures"][0]))
    status, said = desk.verify(signed)
    assert status == DENIED
    assert "expected good signatures by 2 of the 2 release keys, found 1" in said
    assert desk.verify(envelope("release", canonical(RELEASE), KEYS[:2]))[0] == OK


def test_payload_is_not_read_before_it_is_verified(desk):
    """What nobody signed gives the message of the signature, however broken it is."""
    assert desk.verify(envelope("release", b"{", KEYS[:1]))[0] == DENIED
    assert desk.verify(envelope("release", b"{", KEYS[1:2]))[0] == INPUT


def openssl(*words, data=b""):
    return subprocess.run(["openssl", *words], input=data, capture_output=True, timeout=60, check=False)


def openssl_verifies(folder, key, signed):
    """Whether openssl(1) finds KEY's signature on an envelope good."""
    (folder / "public.pem").write_bytes(key.public_pem())
    (folder / "signed").write_bytes(pae(signed["payloadType"], base64.b64decode(signed["payload"])))
    signature = next(s for s in signed["signatures"] if s["keyid"] == key.id)
    (folder / "signature").write_bytes(base64.b64decode(signature["sig"]))
    done = openssl("pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", folder / "public.pem", "-in", folder / "signed",
                   "-sigfile", folder / "signature")
    return done.returncode == 0


class Author(Desk):
    """A desk whose keys were made by muster, with an app to publish."""

    def __init__(self, folder):
        super().__init__(folder)
        for role in ("root", "release", "target"):
            self.ok("key", "generate", "--out", f"{role}.key", "--public-out", f"{role}.pub")
        self.ok("root", "init", "--root-key", "root.key", "--release-key", "release.pub", "--target-key", "target.pub",
                "--out", "made.json")
        app = folder / "app"
        app.mkdir()
        (folder / "depot").mkdir()
        (app / "appspec.yml").write_text("version: 0.0\nos: linux\nenv:\n  GREETING: grüß dich\n")
        self.ok("publish", "app", "--app", "api", "--version", "1.0", "--key", "release.key", "--depot",
                f"file://{folder}/depot")
        self.ok("target", "set", "--app", "api", "--group", "prod", "--version", "1.0", "--key", "target.key", "--root",
                "made.json", "--depot", f"file://{folder}/depot")

    def ok(self, *words):
        done = self.muster(*words)
        assert done.returncode == OK, (words, done)

    def key(self, role):
        return Key(serialization.load_pem_private_key((self.folder / f"{role}.key").read_bytes(), None))

    def signed(self):
        """(role, envelope) of everything that muster signed."""
        depot = self.folder / "depot/apps/api"
        return [("root", json.loads((self.folder / "made.json").read_text())),
                ("release", json.loads((depot / "releases/1.0.json").read_text())),
                ("target", json.loads((depot / "groups/prod/target.json").read_text()))]


@pytest.fixture(scope="module")
def author(tmp_path_factory):
    return Author(tmp_path_factory.mktemp("author"))


def test_python_and_openssl_believe_muster(author):
    for role, signed in author.signed():
        key = author.key(role)
        assert signed["payloadType"] == media_type(role)
        assert good_signers(signed, {key.id: key.public}) == {key.id}
        assert openssl_verifies(author.folder, key, signed)
        payload = base64.b64decode(signed["payload"])
        assert payload == canonical(json.loads(payload)), "muster writes its documents in canonical form"
        signed["payload"] = flip(signed["payload"], 10)
        assert not openssl_verifies(author.folder, key, signed)
        with pytest.raises(InvalidSignature):
            good_signers(signed, {key.id: key.public})


def test_what_muster_signed_names_its_bytes(author):
    """A target names the release by the digest of the payload."""
    documents = {role: base64.b64decode(signed["payload"]) for role, signed in author.signed()}
    assert json.loads(documents["target"])["stable"] == {
        "version": "1.0", "release_sha256": hashlib.sha256(documents["release"]).hexdigest()}
    assert json.loads(documents["release"])["env"] == {"GREETING": "grüß dich"}


def test_key_id_by_openssl(author):
    """As key.h says: openssl pkey -pubout -outform DER | tail -c 32 | sha256sum"""
    for role in ("root", "release", "target"):
        public = openssl("pkey", "-in", author.folder / f"{role}.key", "-pubout", "-outform", "DER").stdout
        assert hashlib.sha256(public[-32:]).hexdigest() == author.key(role).id
        said = author.muster("key", "show", f"{role}.key").stdout
        assert author.key(role).id in said


def test_key_of_openssl(author):
    """muster signs with a key that openssl made, and the other way round it is the same key."""
    made = author.folder / "openssl.key"
    made.write_bytes(openssl("genpkey", "-algorithm", "ed25519").stdout)
    made.chmod(0o600)
    author.ok("root", "init", "--root-key", "openssl.key", "--release-key", "release.pub", "--target-key", "target.pub",
              "--out", "by-openssl.json")
    signed = json.loads((author.folder / "by-openssl.json").read_text())
    key = author.key("openssl")
    assert good_signers(signed, {key.id: key.public}) == {key.id}
    assert openssl_verifies(author.folder, key, signed)


@pytest.mark.parametrize("make", [
    ("genpkey", "-algorithm", "ed448"),
    ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    ("genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:secret"),
], ids=["ed448", "P-256", "with a passphrase"])
def test_other_keys_are_refused(author, make):
    made = author.folder / "other.key"
    made.write_bytes(openssl(*make).stdout)
    made.chmod(0o600)
    done = author.muster("key", "show", "other.key")
    assert done.returncode == INPUT
    assert done.stderr.count("\n") == 1
    assert "Ed25519" in done.stderr


if __name__ == "__main__":
    for file, text in golden_files():
        (GOLDEN / file).write_bytes(text)
    sys.exit(0)
