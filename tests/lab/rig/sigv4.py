"""Checks AWS Signature Version 4 as the services do, which moto does not: the signature itself for every key, the
date, the region, the payload's digest. Written from the specification, tested against botocore's signer."""

import calendar
import hashlib
import hmac
import re
import time
from dataclasses import dataclass
from urllib.parse import quote, unquote

SKEW_S3 = 15 * 60
SKEW_OTHERS = 5 * 60

_HEADER = re.compile(r"AWS4-HMAC-SHA256 +Credential=([^/,]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, *"
                     r"SignedHeaders=([^,]+), *Signature=([0-9a-f]{64})$")


class Refused(Exception):
    """The service's answer: status, code, message and the elements that S3 adds."""

    def __init__(self, status, code, message, **extra):
        super().__init__(f"{status} {code}: {message}")
        self.status, self.code, self.message, self.extra = status, code, message, extra


@dataclass
class Key:
    """A key pair that the lab has issued, and whom it speaks for."""
    access_key: str
    secret: str
    token: str = None
    expires: float = None  # wall clock of the cloud
    identity: str = None


@dataclass
class Authorization:
    access_key: str
    date: str
    region: str
    service: str
    signed: list
    signature: str


def parse(headers):
    """The Authorization header taken apart; None when there is none that this can read."""
    match = _HEADER.match(headers.get("Authorization", ""))
    if not match:
        return None
    key, date, region, service, signed, signature = match.groups()
    return Authorization(key, date, region, service, signed.split(";"), signature)


def _canonical_query(query):
    pairs = []
    for part in query.split("&") if query else []:
        name, _, value = part.partition("=")
        pairs.append(tuple(quote(unquote(item), safe="-._~") for item in (name, value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _canonical_request(request, authorization, digest):
    lines = []
    for name in authorization.signed:
        values = request.headers.get_all(name) or [""]
        lines.append(f"{name}:{','.join(re.sub(' +', ' ', v.strip()) for v in values)}\n")
    return "\n".join([request.method, request.raw_path or "/", _canonical_query(request.raw_query), "".join(lines),
                      ";".join(authorization.signed), digest])


def _signature(request, authorization, secret, digest):
    canonical = _canonical_request(request, authorization, digest)
    scope = f"{authorization.date}/{authorization.region}/{authorization.service}/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", request.headers.get("x-amz-date", ""), scope,
                         hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def _check_date(request, authorization, now):
    sent = request.headers.get("x-amz-date", "")
    try:
        at = calendar.timegm(time.strptime(sent, "%Y%m%dT%H%M%SZ"))
    except ValueError:
        raise Refused(403, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header") from None
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    if authorization.service == "s3":
        if abs(now - at) > SKEW_S3:
            raise Refused(403, "RequestTimeTooSkewed",
                          "The difference between the request time and the current time is too large.",
                          RequestTime=sent, ServerTime=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
                          MaxAllowedSkewMilliseconds=str(SKEW_S3 * 1000))
    elif at < now - SKEW_OTHERS:
        limit = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now - SKEW_OTHERS))
        raise Refused(403, "SignatureDoesNotMatch",
                      f"Signature expired: {sent} is now earlier than {limit} ({stamp} - 5 min.)")
    elif at > now + SKEW_OTHERS:
        limit = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now + SKEW_OTHERS))
        raise Refused(403, "SignatureDoesNotMatch",
                      f"Signature not yet current: {sent} is still later than {limit} ({stamp} + 5 min.)")
    if not sent.startswith(authorization.date):
        raise Refused(403, "SignatureDoesNotMatch", "Date in Credential scope does not match YYYYMMDD from "
                      "ISO-8601 version of date from HTTP")


def _check_key(request, authorization, keys, now):
    s3 = authorization.service == "s3"
    key = keys.get(authorization.access_key)
    if key is None:
        if s3:
            raise Refused(403, "InvalidAccessKeyId",
                          "The AWS Access Key Id you provided does not exist in our records.")
        raise Refused(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
    if key.token and request.headers.get("x-amz-security-token") != key.token:
        raise Refused(400 if s3 else 403, "InvalidToken" if s3 else "InvalidClientTokenId",
                      "The provided token is malformed or otherwise invalid.")
    if key.expires is not None and now >= key.expires:
        raise Refused(400 if s3 else 403, "ExpiredToken",
                      "The provided token has expired." if s3 else
                      "The security token included in the request is expired")
    return key


def _check_signed_headers(request, authorization):
    """The host and every x-amz-… header must be among the signed ones."""
    for name in {"host", *(n.lower() for n in request.headers if n.lower().startswith("x-amz-"))}:
        if name not in authorization.signed:
            raise Refused(403, "AccessDenied", "There were headers present in the request which were not signed")
    if authorization.signed != sorted(authorization.signed):
        raise Refused(400, "InvalidRequest", "SignedHeaders are not in order")


def _digest(request, authorization):
    actual = hashlib.sha256(request.body).hexdigest()
    given = request.headers.get("x-amz-content-sha256")
    if authorization.service != "s3":
        return given or actual
    if given is None:
        raise Refused(400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    if given != "UNSIGNED-PAYLOAD" and given != actual:
        raise Refused(400, "XAmzContentSHA256Mismatch",
                      "The provided 'x-amz-content-sha256' header does not match what was computed.")
    return given


def check(request, keys, now, region=None):
    """Returns the Key that signed the request, or raises Refused with what the service would answer."""
    authorization = parse(request.headers)
    if authorization is None:
        raise Refused(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
    _check_date(request, authorization, now)
    key = _check_key(request, authorization, keys, now)
    if region is not None and authorization.region != region:
        raise Refused(400 if authorization.service == "s3" else 403,
                      "AuthorizationHeaderMalformed" if authorization.service == "s3" else "SignatureDoesNotMatch",
                      f"The authorization header is malformed; the region '{authorization.region}' is wrong; "
                      f"expecting '{region}'", Region=region)
    _check_signed_headers(request, authorization)
    expected = _signature(request, authorization, key.secret, _digest(request, authorization))
    if not hmac.compare_digest(expected, authorization.signature):
        raise Refused(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the "
                      "signature you provided. Check your key and signing method.")
    return key
