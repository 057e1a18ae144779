"""The load balancer's part in the story of an instance that is taken out of it for a change: one target group, whose targets are
healthy as soon as they are registered, and gone as soon as they are not."""

import threading

from rig.cloud import ACCOUNT, REGION
from rig.query_api import list_of, xml_of
from rig.web import Response

ARN = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/api/0123456789abcdef"
PORT = 8080


class Balance:
    """Of one instance: as what it is registered, and whether it was taken out."""

    def __init__(self, cloud, instance):
        self._instance = instance
        self._guard = threading.Lock()
        self.begin()
        answers = cloud.proxy.local.setdefault("elasticloadbalancing", _ByInstance())
        answers.balances[instance.address] = self

    def begin(self):
        with self._guard:
            self._ports, self.left = {PORT}, False

    @property
    def ports(self):
        with self._guard:
            return set(self._ports)

    def answer(self, form):
        asked = [int(form[f"Targets.member.{n}.Port"]) for n, _ in enumerate(list_of(form, "Targets", ".Id"), 1)]
        with self._guard:
            if form["Action"] == "RegisterTargets":
                self._ports |= set(asked)
            elif form["Action"] == "DeregisterTargets":
                self._ports -= set(asked)
                self.left = True
            else:
                return {"TargetHealthDescriptions": [self._describe(port) for port in asked or sorted(self._ports)]}
        return {}

    def _describe(self, port):
        state, reason = ("healthy", None) if port in self._ports else ("unused", "Target.NotRegistered")
        return {"Target": {"Id": self._instance.id, "Port": port}, "HealthCheckPort": port,
                "TargetHealth": {"State": state, "Reason": reason}}


class _ByInstance:
    """Elastic Load Balancing for several instances, each with a target group of its own."""

    def __init__(self):
        self.balances = {}

    def __call__(self, request):
        action = request.form["Action"]
        result = xml_of(self.balances[request.client].answer(request.form))
        body = f"<{action}Response><{action}Result>{result}</{action}Result></{action}Response>"
        return Response(200, body.encode(), [("Content-Type", "text/xml")])
