"""The instance metadata service, version 2 only, one answer for each calling address."""

import json
import secrets
import threading
import time
from dataclasses import dataclass, field

from .web import Response, text

TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER = "X-aws-ec2-metadata-token"
TTL_MAX = 21600
TIMESTAMP = "%Y-%m-%dT%H:%M:%SZ"


@dataclass
class Metadata:
    """What the service says to one instance. Values that are callables are asked at every request; None is a 404."""
    instance_id: str
    address: str
    region: str
    zone: str
    account: str
    role: str = None
    credentials: object = None  # callable giving a dict as in the security-credentials document
    tags: dict = None  # None: InstanceMetadataTags is off
    user_data: str = None
    target_lifecycle_state: object = None
    market: str = "on-demand"
    spot_action: dict = None  # {"action": "terminate", "time": "…Z"}
    rebalance: str = None  # noticeTime
    maintenance: list = field(default_factory=list)
    instance_type: str = "t3.medium"
    image: str = "ami-0123456789abcdef0"
    launched: float = 0.0

    def tree(self):
        """Path below /latest/ -> text."""
        items = {
            "meta-data/instance-id": self.instance_id,
            "meta-data/instance-type": self.instance_type,
            "meta-data/ami-id": self.image,
            "meta-data/local-ipv4": self.address,
            "meta-data/placement/region": self.region,
            "meta-data/placement/availability-zone": self.zone,
            "meta-data/placement/availability-zone-id": "euc1-az2",
            "meta-data/autoscaling/target-lifecycle-state": self.target_lifecycle_state,
            "meta-data/instance-life-cycle": self.market,
            "meta-data/spot/instance-action": self.spot_action and json.dumps(self.spot_action),
            "meta-data/events/recommendations/rebalance": self.rebalance and
            json.dumps({"noticeTime": self.rebalance}),
            "meta-data/events/maintenance/scheduled": json.dumps(self.maintenance),
            "dynamic/instance-identity/document": json.dumps(self._document(), indent=2),
            "user-data": self.user_data,
        }
        if self.role:
            items["meta-data/iam/security-credentials/" + self.role] = self.credentials
        for key, value in (self.tags or {}).items():
            items["meta-data/tags/instance/" + key] = value
        return {path: value for path, value in items.items() if value is not None}

    def _document(self):
        return {"accountId": self.account, "architecture": "x86_64", "availabilityZone": self.zone,
                "billingProducts": None, "devpayProductCodes": None, "marketplaceProductCodes": None,
                "imageId": self.image, "instanceId": self.instance_id, "instanceType": self.instance_type,
                "kernelId": None, "pendingTime": time.strftime(TIMESTAMP, time.gmtime(self.launched)),
                "privateIp": self.address, "ramdiskId": None, "region": self.region, "version": "2017-09-30"}


def _listing(tree, folder):
    """The names directly below a folder, subfolders with a slash, as the real one lists them."""
    rests = [path[len(folder):] for path in tree if path.startswith(folder)]
    return sorted({rest.split("/")[0] + ("/" if "/" in rest else "") for rest in rests})


class MetadataService:
    """answer(request) for a web server at 169.254.169.254. `clock` is monotonic."""

    def __init__(self, clock=time.monotonic):
        self.instances = {}  # calling address -> Metadata
        self.log = []  # (monotonic time, client, method, path, status)
        self.fault = None  # callable(request) -> Response or None, asked first
        self._clock = clock
        self._tokens = {}  # token -> (address, end)
        self._lock = threading.Lock()

    def forget_tokens(self):
        """As after a stop and start of the instance: every token is invalid."""
        with self._lock:
            self._tokens.clear()

    def answer(self, request):
        response = (self.fault and self.fault(request)) or self._answer(request)
        self.log.append((self._clock(), request.client, request.method, request.raw_path, response.status))
        response.headers.append(("Server", "EC2ws"))
        return response

    def _answer(self, request):
        metadata = self.instances.get(request.client)
        if metadata is None:
            return text(404, "")
        if request.raw_path == "/latest/api/token":
            return self._token(request)
        if request.method not in ("GET", "HEAD"):
            return text(405, "")
        if not self._valid(request):
            return text(401, "")
        return self._item(metadata, request.path)

    def _token(self, request):
        if request.method != "PUT":
            return text(405, "", headers=[("Allow", "OPTIONS, PUT")])
        if "X-Forwarded-For" in request.headers:
            return text(403, "")
        ttl = request.headers.get(TTL_HEADER, "")
        if not ttl.isdecimal() or not 1 <= int(ttl) <= TTL_MAX:
            return text(400, "")
        token = secrets.token_urlsafe(40)
        with self._lock:
            self._tokens[token] = (request.client, self._clock() + int(ttl))
        return text(200, token, headers=[(TTL_HEADER, ttl)])

    def _valid(self, request):
        with self._lock:
            address, end = self._tokens.get(request.headers.get(TOKEN_HEADER), (None, 0))
        return address == request.client and self._clock() < end

    @staticmethod
    def _item(metadata, path):
        if not path.startswith("/latest/"):
            return text(404, "")
        tree, wanted = metadata.tree(), path.removeprefix("/latest/")
        if wanted in tree:
            value = tree[wanted]() if callable(tree[wanted]) else tree[wanted]
            if value is None:
                return text(404, "")
            return text(200, json.dumps(value, indent=2) if isinstance(value, dict) else value)
        names = _listing(tree, wanted if wanted.endswith("/") or not wanted else wanted + "/")
        return text(200, "\n".join(names)) if names else text(404, "")


def not_there(*_):
    """A fault: the service is switched off on this instance."""
    return Response(403)


def unreachable(*_):
    """A fault: nothing answers (the hop limit, or a firewall)."""
    return Response(500, reset=True)
