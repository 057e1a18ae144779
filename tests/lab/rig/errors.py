"""AWS errors in the format of the service that is asked: S3's XML, the query protocol's XML, JSON."""

import json
import secrets
from xml.sax.saxutils import escape

from . import sigv4
from .web import Response

_NAMESPACES = {
    "autoscaling": "http://autoscaling.amazonaws.com/doc/2011-01-01/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
    "elasticloadbalancing": "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/",
    "sns": "http://sns.amazonaws.com/doc/2010-03-31/",
}


def service_of(request):
    """The service that a request is for: by its signature's scope, or by what it looks like without one."""
    authorization = sigv4.parse(request.headers)
    if authorization:
        return authorization.service
    host = request.headers.get("Host", "")
    for part in host.split(".")[:2]:
        if part in ("s3", "sqs", "sts", "sns", "ssm", "autoscaling"):
            return part
    return "sts" if request.method == "POST" and b"Action=AssumeRole" in request.body else "s3"


def error_response(request, status, code, message, **extra):
    service = service_of(request)
    request_id = secrets.token_hex(8).upper()
    if service == "s3":
        fields = {"Code": code, "Message": message, **extra, "RequestId": request_id, "HostId": "lab"}
        body = "".join(f"<{k}>{escape(v)}</{k}>" for k, v in fields.items())
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{body}</Error>'
        headers = [("Content-Type", "application/xml"), ("x-amz-request-id", request_id), ("x-amz-id-2", "lab")]
        if "Region" in extra:
            headers.append(("x-amz-bucket-region", extra["Region"]))
        return Response(status, b"" if request.method == "HEAD" else body.encode(), headers)
    if "X-Amz-Target" in request.headers:
        code = "InvalidSignatureException" if code == "SignatureDoesNotMatch" else code
        body = json.dumps({"__type": code, "message": message})
        return Response(status, body.encode(), [("Content-Type", request.headers["Content-Type"] or ""),
                                                ("x-amzn-ErrorType", code), ("x-amzn-RequestId", request_id)])
    kind = "Sender" if status < 500 else "Receiver"
    body = f'<ErrorResponse xmlns="{_NAMESPACES.get(service, "")}"><Error><Type>{kind}</Type><Code>{escape(code)}' \
           f"</Code><Message>{escape(message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    return Response(status, body.encode(), [("Content-Type", "text/xml"), ("x-amzn-RequestId", request_id)])
