"""The Query/XML protocol of Auto Scaling (2011-01-01) over the state machine of autoscaling.py."""

import re
import secrets
import time
from xml.sax.saxutils import escape

from . import autoscaling
from .autoscaling import Hook, ValidationError
from .errors import error_response
from .web import Response

NAMESPACE = "http://autoscaling.amazonaws.com/doc/2011-01-01/"
VERSION = "2011-01-01"
INSTANCE_TYPE = "t3.medium"
IMAGE = "ami-0123456789abcdef0"


def xml_of(value):
    """A value of dicts, lists and scalars as the query protocol writes it; None is left out."""
    if isinstance(value, dict):
        return "".join(f"<{k}>{xml_of(v)}</{k}>" for k, v in value.items() if v is not None)
    if isinstance(value, (list, tuple)):
        return "".join(f"<member>{xml_of(v)}</member>" for v in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(str(value))


def list_of(form, name, member=""):
    """The values of NAME.member.N, or of NAME.member.N.MEMBER, in order."""
    pattern = re.compile(re.escape(name) + r"\.member\.(\d+)" + re.escape(member))
    numbered = ((pattern.fullmatch(k), v) for k, v in form.items())
    return [v for _, v in sorted((int(m.group(1)), v) for m, v in numbered if m)]


def _boolean(form, name, default):
    return form.get(name, default) in (True, "true")


class QueryApi:
    """answer(request) for the fault proxy. `guard` is held around every look at the machine; `zone` names where the
    instances are; mine(identity, instance_id) could confine callers, and is not used: IAM is moto's business."""

    def __init__(self, machine, guard, zone, account, clock=time.monotonic):
        self._machine, self._guard, self._clock = machine, guard, clock
        self._zone, self._account = zone, account

    def answer(self, request):
        form = request.form
        action = form.get("Action", "")
        method = _ACTIONS.get(action)
        if form.get("Version") != VERSION or method is None:
            return error_response(request, 400, "InvalidAction", f"Could not find operation {action} for version "
                                  f"{form.get('Version', '')}")
        try:
            with self._guard:
                result = method(self, form)
        except ValidationError as error:
            return error_response(request, 400, "ValidationError", str(error))
        request_id = secrets.token_hex(16)
        inner = f"<{action}Result>{xml_of(result)}</{action}Result>" if result is not None else ""
        body = f'<{action}Response xmlns="{NAMESPACE}">{inner}<ResponseMetadata><RequestId>{request_id}</RequestId>' \
               f"</ResponseMetadata></{action}Response>"
        return Response(200, body.encode(), [("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id)])

    @staticmethod
    def _required(form, *names):
        missing = [n for n in names if not form.get(n)]
        if missing:
            each = "; ".join(f"Value null at '{n[0].lower() + n[1:]}' failed to satisfy constraint: Member must not be "
                             "null" for n in missing)
            raise ValidationError(f"{len(missing)} validation error{'s' if len(missing) > 1 else ''} detected: {each}")
        return [form[n] for n in names]

    def _which(self, form):
        token = form.get("LifecycleActionToken")
        if token is not None and len(token) != 36:
            raise ValidationError(f"1 validation error detected: Value '{token}' at 'lifecycleActionToken' failed to "
                                  "satisfy constraint: Member must have length equal to 36")
        return {"token": token, "instance_id": form.get("InstanceId")}

    def _complete(self, form):
        group, hook, result = self._required(form, "AutoScalingGroupName", "LifecycleHookName",
                                             "LifecycleActionResult")
        self._machine.complete(group, hook, result, self._clock(), **self._which(form))
        return {}

    def _heartbeat(self, form):
        group, hook = self._required(form, "AutoScalingGroupName", "LifecycleHookName")
        self._machine.heartbeat(group, hook, self._clock(), **self._which(form))
        return {}

    def _instance(self, member, health):
        return {"InstanceId": member.id, "InstanceType": INSTANCE_TYPE, "AvailabilityZone": self._zone,
                "LifecycleState": member.state, "HealthStatus": health, "ImageId": IMAGE,
                "ProtectedFromScaleIn": member.protected}

    def _describe_instances(self, form):
        ids = list_of(form, "InstanceIds")
        if len(ids) > autoscaling.INSTANCES_MAX:
            raise ValidationError(f"The number of instance ids that may be passed in is limited to "
                                  f"{autoscaling.INSTANCES_MAX}")
        members = [m for g in self._machine.groups.values() for m in g.members.values() if not ids or m.id in ids]
        start, size = int(form.get("NextToken", 0)), int(form.get("MaxRecords", autoscaling.INSTANCES_MAX))
        page = [{**self._instance(m, m.health.upper()), "AutoScalingGroupName": m.group.name}
                for m in members[start:start + size]]
        more = str(start + size) if start + size < len(members) else None
        return {"AutoScalingInstances": page, "NextToken": more}

    def _describe_hooks(self, form):
        group = self._machine.group(*self._required(form, "AutoScalingGroupName"))
        names = list_of(form, "LifecycleHookNames")
        for name in names:
            if name not in group.hooks:
                raise ValidationError(f"Lifecycle hook '{name}' not found")  # AWS's own text is not known
        return {"LifecycleHooks": [{
            "LifecycleHookName": h.name, "AutoScalingGroupName": group.name, "LifecycleTransition": h.transition,
            "NotificationTargetARN": h.target, "RoleARN": h.role, "NotificationMetadata": h.metadata,
            "HeartbeatTimeout": round(h.heartbeat), "GlobalTimeout": round(h.global_timeout),
            "DefaultResult": h.default_result} for h in group.hooks.values() if not names or h.name in names]}

    def _put_hook(self, form):
        group, name = self._required(form, "AutoScalingGroupName", "LifecycleHookName")
        heartbeat = int(form.get("HeartbeatTimeout", autoscaling.HEARTBEAT_DEFAULT))
        if not autoscaling.HEARTBEAT_MIN <= heartbeat <= autoscaling.HEARTBEAT_MAX:
            raise ValidationError("Heartbeat Timeout must be between 30 and 7200 seconds")
        self._machine.put_hook(group, Hook(
            name, form.get("LifecycleTransition", autoscaling.LAUNCHING), heartbeat,
            form.get("DefaultResult", autoscaling.ABANDON), form.get("NotificationTargetARN"), form.get("RoleARN"),
            form.get("NotificationMetadata")))
        return {}

    def _describe_groups(self, form):
        names = list_of(form, "AutoScalingGroupNames")
        groups = [g for g in self._machine.groups.values() if not names or g.name in names]
        return {"AutoScalingGroups": [self._group(g) for g in groups]}

    def _group(self, group):
        prefix = f"arn:aws:autoscaling:{self._zone[:-1]}:{self._account}:autoScalingGroup:"
        pool = group.warm_pool
        return {
            "AutoScalingGroupName": group.name,
            "AutoScalingGroupARN": f"{prefix}00000000-0000-0000-0000-000000000000:autoScalingGroupName/{group.name}",
            "MinSize": group.minimum, "MaxSize": group.maximum, "DesiredCapacity": group.desired,
            "DefaultCooldown": 300, "AvailabilityZones": [self._zone], "TargetGroupARNs": group.target_groups,
            "HealthCheckType": "EC2", "HealthCheckGracePeriod": round(group.grace),
            "Instances": [self._instance(m, m.health) for m in group.members.values()],
            "SuspendedProcesses": [{"ProcessName": p, "SuspensionReason": "User suspended"}
                                   for p in sorted(group.suspended)],
            "Tags": [{"ResourceId": group.name, "ResourceType": "auto-scaling-group", "Key": k, "Value": v,
                      "PropagateAtLaunch": True} for k, v in group.tags.items()],
            "WarmPoolConfiguration": {"MinSize": pool.size, "PoolState": pool.state,
                                      "InstanceReusePolicy": {"ReuseOnScaleIn": pool.reuse_on_scale_in}}
            if pool else None,
            "WarmPoolSize": len(group.warmed()) if pool else None,
            "TerminationPolicies": ["Default"], "NewInstancesProtectedFromScaleIn": False}

    def _set_health(self, form):
        instance_id, status = self._required(form, "InstanceId", "HealthStatus")
        self._machine.set_health(instance_id, status, self._clock(),
                                 _boolean(form, "ShouldRespectGracePeriod", True))
        return None

    def _set_desired(self, form):
        group, desired = self._required(form, "AutoScalingGroupName", "DesiredCapacity")
        self._machine.set_desired(group, int(desired))
        return None

    def _terminate(self, form):
        instance_id, decrement = self._required(form, "InstanceId", "ShouldDecrementDesiredCapacity")
        self._machine.terminate(instance_id, self._clock(), decrement == "true")
        return {"Activity": self._activity(f"Terminating EC2 instance: {instance_id}")}

    @staticmethod
    def _activity(description):
        return {"ActivityId": secrets.token_hex(16), "Description": description, "StatusCode": "InProgress",
                "Progress": 50, "Cause": "a request of the user"}

    def _enter_standby(self, form):
        group, decrement = self._required(form, "AutoScalingGroupName", "ShouldDecrementDesiredCapacity")
        ids = list_of(form, "InstanceIds")
        self._machine.enter_standby(group, ids, decrement == "true", self._clock())
        return {"Activities": [self._activity(f"Moving EC2 instance to Standby: {i}") for i in ids]}

    def _exit_standby(self, form):
        ids = list_of(form, "InstanceIds")
        self._machine.exit_standby(*self._required(form, "AutoScalingGroupName"), ids, self._clock())
        return {"Activities": [self._activity(f"Moving EC2 instance out of Standby: {i}") for i in ids]}


_ACTIONS = {
    "CompleteLifecycleAction": QueryApi._complete,
    "RecordLifecycleActionHeartbeat": QueryApi._heartbeat,
    "DescribeAutoScalingInstances": QueryApi._describe_instances,
    "DescribeLifecycleHooks": QueryApi._describe_hooks,
    "PutLifecycleHook": QueryApi._put_hook,
    "DescribeAutoScalingGroups": QueryApi._describe_groups,
    "SetInstanceHealth": QueryApi._set_health,
    "SetDesiredCapacity": QueryApi._set_desired,
    "TerminateInstanceInAutoScalingGroup": QueryApi._terminate,
    "EnterStandby": QueryApi._enter_standby,
    "ExitStandby": QueryApi._exit_standby,
}
