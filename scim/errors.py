"""
What can go wrong in SCIM, and the words the client reads (RFC 7644 3.12, RFC 9865 2.1).

* ScimError             500
  - InvalidSyntax       400 invalidSyntax
  - InvalidValue        400 invalidValue
  - InvalidFilter       400 invalidFilter
  - InvalidPath         400 invalidPath
  - NoTarget            400 noTarget
  - Mutability          400 mutability
  - TooMany             400 tooMany
  - InvalidCursor       400 invalidCursor
  - ExpiredCursor       400 expiredCursor
  - InvalidCount        400 invalidCount
  - Unauthorized        401
  - Forbidden           403
  - NotFound            404
  - MethodNotAllowed    405
  - Uniqueness          409 uniqueness
  - Conflict            409
  - PreconditionFailed  412
  - TooLarge            413
  - UnsupportedMedia    415
  - Unsupported         501
  - Busy                503 or 429
"""

import orjson

URN = "urn:ietf:params:scim:api:messages:2.0:Error"


class ScimError(Exception):
    """The service failed; try again later."""

    status = 500
    scim_type: str | None = None

    def __init__(self, detail: str | None = None) -> None:
        """`detail` is the sentence the client reads; it names the attribute it is about."""
        super().__init__(detail or (type(self).__doc__ or "").strip())

    @property
    def detail(self) -> str:
        """The sentence the client reads."""
        return str(self.args[0])

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Headers that belong to this answer, beside the content type."""
        return ()

    def body(self) -> bytes:
        """The error as a SCIM Error message (RFC 7644 section 3.12)."""
        message: dict[str, object] = {"schemas": [URN], "status": str(self.status)}
        if self.scim_type:
            message["scimType"] = self.scim_type
        message["detail"] = self.detail.encode("utf-8", "replace").decode()
        return orjson.dumps(message)


class InvalidSyntax(ScimError):
    """The request body is not a well-formed message of this kind."""

    status, scim_type = 400, "invalidSyntax"


class InvalidValue(ScimError):
    """A required value is missing, or a value does not fit its attribute."""

    status, scim_type = 400, "invalidValue"


class InvalidFilter(ScimError):
    """The filter cannot be understood, or compares an attribute in a way it does not allow."""

    status, scim_type = 400, "invalidFilter"


class InvalidPath(ScimError):
    """The path names no attribute of this resource type."""

    status, scim_type = 400, "invalidPath"


class NoTarget(ScimError):
    """The path matches nothing that could be changed."""

    status, scim_type = 400, "noTarget"


class Mutability(ScimError):
    """The attribute cannot be changed in this way."""

    status, scim_type = 400, "mutability"


class TooMany(ScimError):
    """The filter looks at more resources than the service is willing to read."""

    status, scim_type = 400, "tooMany"


class InvalidCursor(ScimError):
    """The cursor is none of this query's; begin again with an empty one."""

    status, scim_type = 400, "invalidCursor"


class ExpiredCursor(ScimError):
    """The cursor is older than cursorTimeout; begin again with an empty one."""

    status, scim_type = 400, "expiredCursor"


class InvalidCount(ScimError):
    """The count must be a whole number, the same on every page of a cursor."""

    status, scim_type = 400, "invalidCount"


class Unauthorized(ScimError):
    """The request carries no valid bearer token for this directory."""

    status = 401

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The challenge RFC 6750 section 3 asks for."""
        return ((b"www-authenticate", b'Bearer realm="SCIM"'),)


class Forbidden(ScimError):
    """The request is understood and not allowed."""

    status = 403


class NotFound(ScimError):
    """There is no such resource."""

    status = 404


class MethodNotAllowed(ScimError):
    """This method is not served here."""

    status = 405

    def __init__(self, allow: str) -> None:
        """`allow` lists the methods that are served, as the Allow header has them."""
        super().__init__(f"This method is not served here; use {allow}.")
        self.allow = allow

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """What is allowed instead (RFC 9110 section 15.5.6)."""
        return ((b"allow", self.allow.encode()),)


class Uniqueness(ScimError):
    """Another resource already holds this unique value."""

    status, scim_type = 409, "uniqueness"


class Conflict(ScimError):
    """The request conflicts with the present state of the resource."""

    status = 409


class PreconditionFailed(ScimError):
    """The resource is not at a version that If-Match and If-None-Match allow."""

    status = 412


class TooLarge(ScimError):
    """The request body is larger than maxPayloadSize in /ServiceProviderConfig allows."""

    status = 413


class UnsupportedMedia(ScimError):
    """The body must be application/scim+json or application/json, without Content-Encoding."""

    status = 415


class Unsupported(ScimError):
    """This part of SCIM is not served here."""

    status = 501


class Busy(ScimError):
    """The service is busy; try again later."""

    status = 503

    def __init__(self, retry_after_s: int = 1, *, throttled: bool = False) -> None:
        """`throttled`: this client asks too much (429); otherwise everybody waits (503)."""
        super().__init__()
        self.retry_after_s = retry_after_s
        if throttled:
            self.status = 429

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """When to try again, in seconds (RFC 9110 section 10.2.3)."""
        return ((b"retry-after", str(self.retry_after_s).encode()),)
