"""Our side: a core over the rows, with a token, a row policy and a synced audit entry with every call."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from benchmarks import governance
from benchmarks.lake.questions import ROWS_PATH, Places
from benchmarks.lake.servers import Core
from rest_api.query.cursors import Binding, CursorSealer, Place
from tests import live

CURSOR_KEY = "the benchmark opens and moves cursors with this"
GRANT_FILTER = "currency=in.(EUR,USD,JPY)"
# The load is far above what one user may ask of a real server.
PER_MINUTE = "10000000"


@contextmanager
def core(folder: Path) -> Iterator[live.LiveCore]:
    """A core over the lake in a folder."""
    options, key = governance.OPTIONS, CURSOR_KEY
    with live.core(
        folder, options=options, ACCESS_TOKEN_SECONDS="7200", REQUESTS_PER_MINUTE=PER_MINUTE, CURSOR_KEY=key
    ) as served:
        yield served


def reader(served: live.LiveCore, dataset: str, **part: str) -> Core:
    """The core as a new reader asks it, who was granted the dataset or a part of it."""
    token = served.add_user("reader")
    grant = {"principal": me(served, token)["username"], "dataset": dataset, "privileges": ["read"], **part}
    status, answer = served.call("POST", "/grants", grant, served.log_in("admin", served.admin_password))
    assert status == 201, answer
    return Core(served.url, served.process.pid, token)


def administrator(served: live.LiveCore, name: str) -> Core:
    """The core as its administrator asks it."""
    return Core(served.url, served.process.pid, served.log_in("admin", served.admin_password), name)


def me(served: live.LiveCore, token: str) -> dict[str, Any]:
    """Who a token is."""
    status, answer = served.call("GET", "/auth/me", token=token)
    assert status == 200, answer
    return dict(answer)


def cursor_at(served: live.LiveCore, caller: Core, places: Places) -> str:
    """The cursor that a client has who paged to the place, without the pages before: the first one, moved."""
    status, page = served.call("GET", f"{ROWS_PATH}?limit=10", token=caller.token)
    assert status == 200, page
    place = Place(me(served, caller.token)["id"], "transactions")
    return _Mover(CURSOR_KEY.encode()).moved(page["next"], place, (0, places.id_before_offset))


@dataclass(frozen=True)
class _Bound:
    """What a cursor says besides its position."""

    asked: str
    policy: str
    pin: str
    place: Place


class _Mover(CursorSealer):
    """Moves cursors, which nobody can without the key."""

    def moved(self, cursor: str, place: Place, position: tuple[Any, ...]) -> str:
        asked, policy, pin, *_ = self._content(cursor, place)
        return self.seal(position, cast(Binding, _Bound(asked, policy, pin, place)))
