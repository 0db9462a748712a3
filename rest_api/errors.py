"""Every refusal and failure the core can answer with, as one tree.

Refusal
├── Invalid 400              ├── NotFound 404            ├── Unprocessable 422
├── Unauthenticated 401      ├── Conflict 409            ├── RateLimited 429
├── Forbidden 403            ├── Gone 410                ├── Overloaded 503
├── MethodNotAllowed 405     ├── PreconditionFailed 412  ├── Unavailable 503
├── NotAcceptable 406        ├── TooLarge 413            └── Timeout 504
├── RequestTimeout 408
└── UnsupportedMediaType 415
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with one input; `field` is a dotted path such as `operations.3.title`."""

    field: str
    detail: str


class Refusal(Exception):
    """An answer other than success, with all that a client is told about it."""

    status = 500
    code = "internal"
    title = "Internal error"
    retriable = False
    keeps_changes = False
    """Whether what the call changed before it was refused stays, as when a stolen token ends its family."""

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        errors: Sequence[FieldError] = (),
        did_you_mean: str | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.errors = tuple(errors)
        self.did_you_mean = did_you_mean
        self.retry_after_seconds = retry_after_seconds


class Invalid(Refusal):
    status, code, title = 400, "invalid", "Invalid request"


class Unauthenticated(Refusal):
    status, code, title = 401, "unauthenticated", "Not authenticated"


class Forbidden(Refusal):
    status, code, title = 403, "forbidden", "Forbidden"


class NotFound(Refusal):
    status, code, title = 404, "not_found", "Not found"


class MethodNotAllowed(Refusal):
    status, code, title = 405, "method_not_allowed", "Method not allowed"


class NotAcceptable(Refusal):
    status, code, title = 406, "not_acceptable", "Not acceptable"


class RequestTimeout(Refusal):
    status, code, title = 408, "request_timeout", "Request timed out"


class Conflict(Refusal):
    status, code, title = 409, "conflict", "Conflict"


class Gone(Refusal):
    status, code, title = 410, "gone", "Gone"


class PreconditionFailed(Refusal):
    status, code, title = 412, "precondition_failed", "Precondition failed"


class TooLarge(Refusal):
    status, code, title = 413, "too_large", "Too large"


class UnsupportedMediaType(Refusal):
    status, code, title = 415, "unsupported_media_type", "Unsupported media type"


class Unprocessable(Refusal):
    status, code, title = 422, "unprocessable", "Unprocessable"


class RateLimited(Refusal):
    status, code, title, retriable = 429, "rate_limited", "Too many requests", True


class Overloaded(Refusal):
    status, code, title, retriable = 503, "overloaded", "Overloaded", True


class Unavailable(Refusal):
    status, code, title, retriable = 503, "unavailable", "Unavailable", True


class Timeout(Refusal):
    status, code, title, retriable = 504, "timeout", "Timed out", True


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None when nothing is near."""
    names = {candidate.lower(): candidate for candidate in known}
    matches = get_close_matches(name.lower()[:100], names, n=1, cutoff=0.6)
    return names[matches[0]] if matches else None


def unknown(what: str, name: str, known: Iterable[str]) -> Invalid:
    """The refusal of a name nobody knows, naming the nearest valid one."""
    nearest_name = nearest(name, known)
    hint = f"; did you mean {nearest_name!r}?" if nearest_name else ""
    shown = name[:100]
    detail = f"Unknown {what} {shown!r}{hint}"
    return Invalid(detail, errors=[FieldError(shown, detail)], did_you_mean=nearest_name)
