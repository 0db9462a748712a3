"""Calls of the core as a route makes them: logged in, tried again where that helps, and believed only when whole."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from threading import Event, Lock
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests

from integration.errors import CoreAway, CoreRefused, Misconfigured
from integration.outages import Outage, Tell

TIMEOUT_SECONDS = (5, 60)
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 30.0
RENEWED_BEFORE = 0.2
"""The part of a token's life that is left when it is renewed."""
MOST_RENEWALS = 2
"""So often a call is made with another token: one may end on its way, or be ended by somebody."""
AGAIN = frozenset({408, 429, 500, 502, 503, 504})
APPLIED = frozenset({"created", "updated", "unchanged", "stale", "deleted"})
INGESTED = frozenset({"applied", "unchanged", "diverged", "quarantined", "accepted"})
FAILED = "failed"
MOST_FAILURES = 5
"""So often a batch may be answered with 500 before a row of it is to blame, if any."""
HARMLESS = b'{"op":"delete","id":1}'
Query = Mapping[str, Any]
Understanding = Callable[[Any], Any]


@dataclass(frozen=True)
class Credentials:
    """A token, or a name and a password to get some with; never shown."""

    token: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Credentials":
        """Those of LAKEPORT_TOKEN, else of LAKEPORT_USERNAME and LAKEPORT_PASSWORD. Raises Misconfigured."""
        if environ.get("LAKEPORT_TOKEN"):
            return cls(token=environ["LAKEPORT_TOKEN"])
        username, password = environ.get("LAKEPORT_USERNAME", ""), environ.get("LAKEPORT_PASSWORD", "")
        if not (username and password):
            raise Misconfigured("Put LAKEPORT_USERNAME and LAKEPORT_PASSWORD, or LAKEPORT_TOKEN, into the environment")
        return cls(username=username, password=password)


@dataclass(frozen=True)
class Refused:
    """A body that will not be better when it is sent again; `failed` where the core fails at it again and again."""

    code: str
    detail: str


@dataclass(frozen=True)
class Verdict:
    """What became of one operation: its outcome, or the code and detail of the refusal."""

    outcome: str | None
    code: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Call:
    """A request, and how its answer is understood."""

    method: str
    path: str
    understand: Understanding
    body: bytes | None = None
    query: Query | None = None


class CoreClient:
    """The core at a URL. Every method raises CoreAway after `patience_seconds` without an answer, and CoreRefused.

    A wait of some length is told by `tell`.
    """

    def __init__(self, url: str, credentials: Credentials, patience_seconds: float, tell: Tell) -> None:
        self._url = _checked(url)
        self._credentials = credentials
        self._patience_seconds = patience_seconds
        self._session = requests.Session()
        # A .netrc of this machine would replace the token.
        self._session.trust_env = False
        self._outage = Outage(tell)
        self._closing = Event()
        self._lock = Lock()
        self._token = credentials.token
        self._renewed_at = float("inf")

    @property
    def url(self) -> str:
        """Where it is."""
        return self._url

    def close(self) -> None:
        """Close its connections; who waits for an answer elsewhere gives up."""
        self._closing.set()
        self._session.close()

    def apply(self, operations: Sequence[bytes], *, is_rehearsal: bool = False) -> list[Verdict] | Refused:
        """Apply operations in JSON, at most 1,000; a verdict for each, or the refusal of them all."""
        body = _body(operations, is_rehearsal=is_rehearsal)
        call = Call("POST", "/articles/batch", lambda answer: _verdicts(answer, len(operations)), body)
        answer: list[Verdict] | Refused = self._call(call, MOST_FAILURES)
        return answer

    def ingest(self, dataset: str, events: Sequence[bytes]) -> list[Verdict] | Refused:
        """Have events in JSON checked and merged, at most 10,000; a verdict for each, or the refusal of them all."""
        body = b'{"events":[%b]}' % b",".join(events)
        call = Call("POST", f"/data/datasets/{dataset}/rows", lambda answer: _ingested(answer, len(events)), body)
        answer: list[Verdict] | Refused = self._call(call, MOST_FAILURES)
        return answer

    def await_batches(self) -> None:
        """Wait until the core judges a batch that changes nothing: what it still fails at is the batch's own fault."""
        self._call(Call("POST", "/articles/batch", lambda answer: answer, _body((HARMLESS,), is_rehearsal=True)))

    def read(self, path: str, query: Query) -> Any:
        """The body of a GET. Raises CoreRefused for every refusal."""
        answer = self._call(Call("GET", path, lambda body: body, query=query))
        if isinstance(answer, Refused):
            raise CoreRefused(f"The core refused GET {path}: {answer.detail}")
        return answer

    def ask(self, path: str, question: Any) -> Any:
        """The body of a POST that changes nothing. Raises CoreRefused for every refusal."""
        answer = self._call(Call("POST", path, lambda body: body, orjson.dumps(question)))
        if isinstance(answer, Refused):
            raise CoreRefused(f"The core refused POST {path}: {answer.detail}")
        return answer

    def _call(self, call: Call, most_failures: float = inf) -> Any:
        deadline = time.monotonic() + self._patience_seconds
        attempts = failures = 0
        while True:
            asked_at = time.monotonic()
            answer = self._attempt(call)
            found = None if answer is None else _understood(answer, call.understand)
            if found is not None:
                self._outage.ends(asked_at)
                return found
            attempts += 1
            failures += answer is not None and answer.status_code == 500
            if failures >= most_failures:
                return Refused(FAILED, f"the core failed at it {failures} times")
            self._wait(call, answer, attempts, deadline)

    def _wait(self, call: Call, answer: requests.Response | None, attempts: int, deadline: float) -> None:
        pause = _pause_seconds(answer, attempts)
        if time.monotonic() + pause > deadline:
            waited = f"{call.method} {call.path} within {self._patience_seconds:g} s"
            raise CoreAway(f"The core gave no usable answer to {waited}: {_why(answer)}")
        self._outage.lasts(_why(answer), pause)
        if self._closing.wait(pause):
            raise CoreAway("The core was not waited for any longer")

    def _attempt(self, call: Call, renewals: int = MOST_RENEWALS) -> requests.Response | None:
        """The answer, or the one to a login that is needed first; None where none came whole."""
        token = self._bearer()
        if not isinstance(token, str):
            return token
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        answer = self._send(call.method, call.path, headers=headers, params=call.query, data=call.body)
        if answer is not None and answer.status_code == 401 and renewals and self._forget(token):
            return self._attempt(call, renewals - 1)
        return answer

    def _send(self, method: str, path: str, **more: Any) -> requests.Response | None:
        url = self._url + path
        try:
            return self._session.request(method, url, timeout=TIMEOUT_SECONDS, allow_redirects=False, **more)
        except requests.RequestException:
            return None

    def _bearer(self) -> str | requests.Response | None:
        """The token; where none is to be had now, the answer that says so."""
        with self._lock:
            if self._token and time.monotonic() < self._renewed_at:
                return self._token
            return self._log_in()

    def _forget(self, token: str) -> bool:
        """Whether another token is to be had than one that was refused."""
        if not self._credentials.password:
            return False
        with self._lock:
            if self._token == token:
                self._token = ""
            return True

    def _log_in(self) -> str | requests.Response | None:
        given = {"username": self._credentials.username, "password": self._credentials.password}
        started = time.monotonic()
        answer = self._send("POST", "/auth/token", json=given)
        if answer is None or answer.status_code in AGAIN:
            return answer
        if answer.status_code != 200:
            raise CoreRefused(f"The core did not let {self._credentials.username!r} log in: {_problem(answer)[1]}")
        try:
            token, seconds = _tokens(answer)
        except (ValueError, KeyError, TypeError):
            return None
        self._token = token
        self._renewed_at = started + seconds * (1 - RENEWED_BEFORE)
        return token


def _body(operations: Sequence[bytes], *, is_rehearsal: bool) -> bytes:
    return b'{"operations":[%b]%b}' % (b",".join(operations), b',"dry_run":true' if is_rehearsal else b"")


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_url = False
    if not is_url:
        raise Misconfigured("The target is no URL of a core; expected http://host:port or https://host")
    if parts.username or parts.password or parts.query:
        raise Misconfigured("The target's URL takes no name, password or query; credentials come from the environment")
    return url.rstrip("/")


def _understood(answer: requests.Response, understand: Any) -> Any:
    """What the answer says, a Refused, or None where it says nothing that can be relied on."""
    if answer.status_code in AGAIN:
        return None
    if answer.status_code not in (200, 201):
        return _refused(answer)
    try:
        return understand(orjson.loads(answer.content))
    except (ValueError, KeyError, TypeError):
        return None


def _refused(answer: requests.Response) -> Refused:
    """What is wrong with the body. Raises CoreRefused for anything else: it would be the same with every body."""
    code, detail = _problem(answer)
    if answer.status_code in (400, 413) and code in ("invalid", "too_large"):
        return Refused(code, detail)
    raise CoreRefused(f"The core refused: {detail}")


def _verdicts(body: Any, expected: int) -> list[Verdict]:
    """One for each operation. Raises ValueError where the answer does not speak of each just once."""
    told: dict[int, Verdict] = {}
    for each in body["data"]:
        if each["outcome"] not in APPLIED:
            raise ValueError(each["outcome"])
        told[each["index"]] = Verdict(each["outcome"])
    for each in body["errors"]:
        told[each["index"]] = Verdict(None, str(each["code"]), str(each["detail"]))
    if sorted(told) != list(range(expected)) or len(body["data"]) + len(body["errors"]) != expected:
        raise ValueError("not every operation is spoken of")
    return [told[index] for index in range(expected)]


def _ingested(body: Any, expected: int) -> list[Verdict]:
    """One for each event. Raises ValueError where the answer does not speak of each."""
    outcomes = [each["outcome"] for each in body["outcomes"]]
    if len(outcomes) != expected or not INGESTED.issuperset(outcomes):
        raise ValueError("not every event is spoken of")
    return [Verdict(outcome) for outcome in outcomes]


def _tokens(answer: requests.Response) -> tuple[str, float]:
    body = answer.json()
    return str(body["access_token"]), float(body["expires_in"])


def _pause_seconds(answer: requests.Response | None, attempts: int) -> float:
    """Full jitter over a doubling pause (Brooker, "Exponential Backoff and Jitter") after what the core asks."""
    text = "" if answer is None else answer.headers.get("Retry-After", "")
    least = float(text) if text.isdigit() and len(text) < 6 else 0.0
    return least + random.uniform(0, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(attempts - 1, 20)))


def _problem(answer: requests.Response) -> tuple[str, str]:
    try:
        found = answer.json()
        return str(found["code"]), str(found["detail"])
    except (ValueError, KeyError, TypeError):
        return "unknown", f"it answered {answer.status_code}, not as a core does"


def _why(answer: requests.Response | None) -> str:
    return "no whole answer came" if answer is None else f"the last answer was {answer.status_code}"
