"""Every failure a client is told of, and its form in a GraphQL answer.

Failure
├── Refusal               the core's own answer, with its status and code
├── Malformed             the request is not GraphQL over HTTP
├── TooLarge              the request is beyond a limit
├── Overloaded            too many calls wait for the core
├── UpstreamUnavailable   the core cannot be reached
│   ├── CircuitOpen       it could not be reached just now, so nobody tries
│   └── UpstreamUnreadable  its answer cannot be read
└── UpstreamTimeout       the core did not answer before the deadline
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError

UNSURE = "; a change may have been made"
log = logging.getLogger(__name__)


class Failure(Exception):
    """What a client is told instead of a result."""

    code = "INTERNAL"

    def __init__(self, message: str, *, code: str | None = None, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True)
class Problem:
    """The core's problem document; `texts` says each thing that is wrong in a sentence."""

    status: int
    code: str
    detail: str
    texts: tuple[str, ...]

    @classmethod
    def read(cls, status: int, body: object) -> "Problem | None":
        """The problem in a parsed body; None when it is none."""
        if not isinstance(body, dict) or not all(isinstance(body.get(name), str) for name in ("code", "detail")):
            return None
        errors = body.get("errors")
        texts = _texts(errors) if isinstance(errors, list) else ()
        return cls(status, body["code"].upper(), body["detail"], texts or (body["detail"],))


def _texts(errors: list[Any]) -> tuple[str, ...]:
    pairs = [(str(each.get("field", "")), str(each.get("detail", ""))) for each in errors if isinstance(each, dict)]
    return tuple(detail if not field or field in detail else f"{field}: {detail}" for field, detail in pairs)


class Refusal(Failure):
    """The core refused."""

    def __init__(self, problem: Problem, retry_after_seconds: int | None = None) -> None:
        super().__init__(problem.detail, code=problem.code, retry_after_seconds=retry_after_seconds)
        self.problem = problem


class Malformed(Failure):
    """The request is not GraphQL over HTTP; `status` says how."""

    code = "INVALID"

    def __init__(
        self, message: str, *, status: int = 400, code: str | None = None, headers: Mapping[str, str] | None = None
    ):
        super().__init__(message, code=code)
        self.status = status
        self.headers = dict(headers or {})


class TooLarge(Failure):
    code = "TOO_LARGE"


class Overloaded(Failure):
    code = "OVERLOADED"


class UpstreamUnavailable(Failure):
    code = "UPSTREAM_UNAVAILABLE"


class CircuitOpen(UpstreamUnavailable):
    """It was not tried: nothing has been sent."""


class UpstreamUnreadable(UpstreamUnavailable):
    """Something answered, and not as the core does."""


class UpstreamTimeout(Failure):
    code = "UPSTREAM_TIMEOUT"


def invalid(detail: str) -> Refusal:
    """The refusal of an argument that the core need not be asked about."""
    return Refusal(Problem(400, "INVALID", detail, (detail,)))


def not_found(type_: str, key: object) -> Refusal:
    """The refusal of what is not there; nothing tells it from what is hidden."""
    detail = f"{type_} {key} is not there, or is not for you to see"
    return Refusal(Problem(404, "NOT_FOUND", detail, (detail,)))


def described(errors: Sequence[GraphQLError | Failure], request_id: str) -> list[dict[str, Any]]:
    """The `errors` of an answer. What is unexpected is logged, and a client learns no more than that it happened."""
    return [_described(error, request_id) for error in errors]


def _described(error: GraphQLError | Failure, request_id: str) -> dict[str, Any]:
    if isinstance(error, Failure):
        return {"message": error.message, "extensions": _extensions(error, request_id)}
    cause = _cause(error)
    shown: dict[str, Any] = {"message": error.message, "extensions": {"code": "INVALID", "requestId": request_id}}
    if isinstance(cause, Failure):
        shown = _described(cause, request_id)
    elif cause is not None:
        log.error("unexpected error in a resolver", exc_info=cause)
        shown = _described(Failure("An internal error occurred"), request_id)
    if error.locations:
        shown["locations"] = [location.formatted for location in error.locations]
    if error.path is not None:
        shown["path"] = error.path
    return shown


def _cause(error: GraphQLError) -> BaseException | None:
    """What a resolver raised; None for what graphql-core itself finds wrong with a request."""
    cause = error.original_error
    while isinstance(cause, GraphQLError):
        cause = cause.original_error
    return cause


def _extensions(failure: Failure, request_id: str) -> dict[str, Any]:
    wait = failure.retry_after_seconds
    extensions: dict[str, Any] = {"code": failure.code, "requestId": request_id}
    return extensions if wait is None else {**extensions, "retryAfterSeconds": wait}
