"""A live core over a small lake, and clients of a gateway before it with different grants."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from tests import live
from tests.gateway.conftest import GraphQL
from tests.live import Live, LiveCore

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
ROWS = 25


@dataclass(frozen=True)
class LiveLake:
    """A core with a lake, and a gateway before it."""

    core: LiveCore
    gateway: Live

    def client(self, token: str) -> GraphQL:
        """A client with a token."""
        return GraphQL(self.gateway.url, {"Authorization": f"Bearer {token}"})

    def admin(self) -> GraphQL:
        """The administrator, who sees everything."""
        return self.client(self._admin_token)

    @cached_property
    def _admin_token(self) -> str:
        return self.core.log_in("admin", self.core.admin_password)

    def user(self, name: str, *grants: dict[str, Any], role: str = "reader") -> GraphQL:
        """A new user with grants, each without its principal."""
        password = f"correct horse {name}"
        user = {"username": name, "password": password, "role": role}
        status, answer = self.core.call("POST", "/users", user, self._admin_token)
        assert status == 201, answer
        for grant in grants:
            self.grant(name, **grant)
        return self.client(self.core.log_in(name, password))

    def grant(self, principal: str, **grant: Any) -> int:
        """A grant by the administrator; gives its id."""
        given = {"principal": principal, "privileges": ["read"], **grant}
        status, answer = self.core.call("POST", "/grants", given, self._admin_token)
        assert status == 201, answer
        return int(answer["id"])

    def write(self, name: str, rows: pa.Table, **how: Any) -> None:
        """A table of the lake, or more of it."""
        write_deltalake(self.core.data_dir / "lake" / name.replace(".", "/"), rows, **how)

    def revoke(self, grant_id: int) -> None:
        """Take a grant back."""
        status, answer = self.core.call("DELETE", f"/grants/{grant_id}", None, self._admin_token)
        assert status == 204, answer


def payments(first: int = 0, rows: int = ROWS) -> pa.Table:
    """Rows of the table `payments`."""
    numbers = range(first, first + rows)
    return pa.table(
        {
            "id": list(numbers),
            "at": pa.array([BEGIN + timedelta(hours=each) for each in numbers], pa.timestamp("us", "UTC")),
            "country": [("FR", "DE", "CH")[each % 3] for each in numbers],
            "amount": pa.array([f"{each}.50" for each in numbers]).cast(pa.decimal128(18, 2)),
            "card": [f"4000-{each:04}" for each in numbers],
            "paid": [each % 2 == 0 for each in numbers],
            "order": [f"o{each % 5}" for each in numbers],
        }
    )


@contextmanager
def live_lake(folder: Path) -> Iterator[LiveLake]:
    """A lake with `payments` (three versions), `hidden` and `sales.eu`, until the block ends."""
    lake = folder / "core" / "lake"
    for start in (0, 10, 20):
        write_deltalake(lake / "payments", payments(start, 10 if start < 20 else 5), mode="append")
    write_deltalake(lake / "hidden", pa.table({"secret": ["x"]}))
    write_deltalake(lake / "sales" / "eu", pa.table({"id": [1, 2], "total sum": [1.5, 2.5]}))
    with (
        live.core(folder / "core", ACCESS_TOKEN_SECONDS="3600") as core,
        live.gateway(core.url, folder / "gateway") as gateway,
    ):
        yield LiveLake(core, gateway)
