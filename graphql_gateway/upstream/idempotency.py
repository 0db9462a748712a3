"""`Idempotency-Key`: a client's key for a whole request, and what the core is sent for each change of it."""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field

from graphql_gateway.errors import Malformed

KEY = re.compile(r"[\x21-\x7e]{1,255}")
# Whoever logs in has no principal yet under whom the core could keep an answer.
UNKEPT = "/auth/"


def read_key(given: list[str]) -> str | None:
    """The key in a request's headers. Raises Malformed."""
    if not given:
        return None
    if len(given) > 1 or not KEY.fullmatch(given[0]):
        raise Malformed("Idempotency-Key is given once and takes 1 to 255 visible ASCII characters")
    return given[0]


@dataclass
class ChangeKeys:
    """The keys of one request's changes: the same request again gives the same keys in the same order.

    The core tells calls with one key apart by method and path. Root fields of a mutation run one after the other, so
    that the second change under one path is the second each time.
    """

    given: str | None
    _used: Counter[str] = field(default_factory=Counter)

    def take(self, method: str, target: str) -> str | None:
        """The key of the next change; None for what the core does not answer twice by a key."""
        if self.given is None or method != "POST" or target.startswith(UNKEPT):
            return None
        number = self._used[target]
        self._used[target] += 1
        return self.given if not number else hashlib.sha256(f"{self.given}\x00{number}".encode()).hexdigest()
