"""What can go wrong between an instance and AWS, as values that a test puts into the fault proxy, for a while or until the
test's end:

    with cloud.fault(slow_down(), service="s3", method="GET"):
        …
    fault = cloud.fault(throttling(), times=2, action="CompleteLifecycleAction")

A fault is a function of (request, forward) -> Response, where forward(request) asks the real service. The ones that
spoil an answer do it after the service has acted, the ones that refuse do it instead.
"""

import time

from .errors import error_response


def error(status, code, message="The lab says no.", **extra):
    """The service's own kind of error, in its own format."""
    return lambda request, forward: error_response(request, status, code, message, **extra)


def slow_down():
    return error(503, "SlowDown", "Please reduce your request rate.")


def internal_error():
    return error(500, "InternalError", "We encountered an internal error. Please try again.")


def throttling():
    return error(400, "Throttling", "Rate exceeded")


def conflict():
    """S3 when two writers race for one key."""
    return error(409, "ConditionalRequestConflict", "A conflicting conditional operation is currently in progress "
                 "against this resource. Please try again.")


def access_denied():
    return error(403, "AccessDenied", "Access Denied")


def demands(**headers):
    """The bucket's policy refuses whatever has not these headers (x_amz_request_payer="requester")."""
    def act(request, forward):
        if all(request.headers.get(name.replace("_", "-")) == value for name, value in headers.items()):
            return forward(request)
        return error_response(request, 403, "AccessDenied", "User: arn:aws:iam::123456789012:user/lab is not authorized to "
                              "perform: s3:PutObject with an explicit deny in a resource-based policy")
    return act


def locked():
    """The object is encrypted with a key of KMS that the caller may not use."""
    return error(403, "AccessDenied", "User: arn:aws:sts::123456789012:assumed-role/muster-instance/i-1 is not authorized to "
                 "perform: kms:Decrypt on resource: arn:aws:kms:eu-central-1:123456789012:key/1 because no identity-based "
                 "policy allows the kms:Decrypt action")


def expired_token():
    return error(400, "ExpiredToken", "The provided token has expired.")


def wrong_region(region):
    """301 PermanentRedirect, as S3 answers for a bucket that lives elsewhere."""
    def act(request, forward):
        response = error_response(request, 301, "PermanentRedirect", "The bucket you are attempting to access must be "
                                  "addressed using the specified endpoint.",
                                  Endpoint=f"s3.{region}.amazonaws.com")
        response.headers.append(("x-amz-bucket-region", region))
        return response
    return act


def closed():
    """The connection is not kept after the answer, as if the client had been silent for long."""
    def act(request, forward):
        response = forward(request)
        response.headers.append(("Connection", "close"))
        return response
    return act


def redirect(location):
    """307 TemporaryRedirect, as for a bucket that was made a minute ago."""
    def act(request, forward):
        response = error_response(request, 307, "TemporaryRedirect", "Please re-send this request to the specified "
                                  "temporary endpoint.")
        response.headers.append(("Location", location))
        return response
    return act


def reset():
    """The connection is reset before the service has seen the request."""
    def act(request, forward):
        response = error_response(request, 500, "InternalError", "")
        response.reset = True
        return response
    return act


def lost_answer():
    """The service acts, and the connection is reset before the answer arrives."""
    def act(request, forward):
        response = forward(request)
        response.reset = True
        return response
    return act


def truncated(size):
    """The connection closes after `size` bytes of the body."""
    def act(request, forward):
        response = forward(request)
        response.cut_after = size
        return response
    return act


def slow(rate):
    """The body comes at `rate` bytes a second."""
    def act(request, forward):
        response = forward(request)
        response.rate = rate
        return response
    return act


def late(seconds):
    """The answer comes after a while."""
    def act(request, forward):
        time.sleep(seconds)
        return forward(request)
    return act


def corrupted(offset=0):
    """One byte of the body is another one."""
    def act(request, forward):
        response = forward(request)
        if len(response.body) > offset:
            body = bytearray(response.body)
            body[offset] ^= 0xFF
            response.body = bytes(body)
        return response
    return act
