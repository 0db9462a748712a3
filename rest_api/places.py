"""Places for requests that take long or wait, as long polls, streams and uploads do: each holds a thread."""

from collections import Counter
from collections.abc import Callable, Hashable
from threading import Lock

from rest_api.errors import Overloaded, RateLimited


class Places:
    """So many in this process, and so many of one caller."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._lock = Lock()
        self._taken: Counter[Hashable] = Counter()

    def take(self, caller: Hashable) -> Callable[[], None]:
        """Take a place; what is returned gives it back, once. Raises RateLimited, Overloaded."""
        with self._lock:
            if self._taken[caller] >= self._most_of_one:
                raise RateLimited("You have too many calls of this kind at once", retry_after_seconds=5)
            if self._taken.total() >= self._most:
                raise Overloaded("Too many calls of this kind run at once; try again", retry_after_seconds=5)
            self._taken[caller] += 1
        is_taken = [caller]

        def give_back() -> None:
            with self._lock:
                if is_taken:
                    self._taken[is_taken.pop()] -= 1
                    self._taken += Counter()

        return give_back
