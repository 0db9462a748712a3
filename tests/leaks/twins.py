"""Lakes that a caller cannot tell apart: a real one, one whose hidden part is another, and one that has no hidden part.

A `Principal` says which grants he has and, by hand, what of each row they show. From that come the three lakes.
"""

import hashlib
import hmac
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from flask import Flask
from sqlalchemy import update

from rest_api.models.grant import GrantRecord
from tests.api.lake import TRANSACTIONS, VERSIONS, append, give, lake_folder, transactions, write_parquet
from tests.conftest import Caller, log_in

MASK_KEY = "a mask key that all three lakes have in common"
SECRETS = {"MASK_KEY": MASK_KEY, "CURSOR_KEY": "a cursor key that all three lakes have in common"}
TABLE, FILES = TARGETS = ("transactions", "archive")
"""The same rows as a Delta table in three versions, and as a folder of two files."""
NAMES = tuple(TRANSACTIONS.names)
Row = dict[str, Any]
Rows = list[Row]
Masked = Callable[[Any], Any]


def _spoken(value: Any) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else str(value)


def hashed(value: Any) -> Any:
    """The value under the mask `hash`."""
    if value is None:
        return None
    return hmac.new(MASK_KEY.encode(), _spoken(value).encode(), hashlib.sha256).hexdigest()[:16]


def last4(value: Any) -> Any:
    """The value under the mask `last4`."""
    return None if value is None or len(_spoken(value)) < 8 else _spoken(value)[-4:]


def year(value: Any) -> Any:
    """The value under the mask `year`."""
    return None if value is None else value.year


def nothing(_: Any) -> Any:
    """The value under the mask `null`."""
    return None


MASKED: dict[str, tuple[Masked, Any]] = {
    "hash": (hashed, pa.string()),
    "last4": (last4, pa.string()),
    "year": (year, pa.int64()),
    "null": (nothing, None),
}


@dataclass(frozen=True)
class Principal:
    """Somebody and what he sees. `admits` is None where no row or column is there for him.

    `hidden` are columns that no grant of his names; `named` those hidden ones that a filter of his names.
    """

    name: str
    grants: tuple[dict[str, Any], ...] = ()
    admits: Callable[[Row], bool] | None = None
    hidden: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    masks: dict[str, str] = field(default_factory=dict)
    privileges: tuple[str, ...] = ("read",)
    prepare: Callable[["Lake"], None] | None = None
    principal: str = "rita"
    twin_grants: tuple[dict[str, Any], ...] | None = None

    @property
    def visible(self) -> tuple[str, ...]:
        return tuple(name for name in NAMES if name not in (*self.hidden, *self.named))

    @property
    def sees_nothing(self) -> bool:
        return self.admits is None


@dataclass
class Lake:
    """One of the three, with the caller's own client."""

    app: Flask
    admin: Caller
    caller: Caller | None
    is_whole: bool

    @property
    def folder(self) -> Path:
        return lake_folder(self.app)


def build(app: Flask, principal: Principal, which: str) -> Lake:
    """The lake `real`, `other` or `twin` of a principal, with his grants on it."""
    rows, schema = content(principal, which)
    lake = Lake(app, log_in(app, "root"), None, is_whole=principal.name == "admin")
    if rows is not None:
        put(lake.folder, rows, schema)
    if which == "real" and principal.name != "admin":
        append(lake.folder / "hidden_one", pa.table({"secret": [1]}))
        write_parquet(lake.folder / "vault" / "hidden_two" / "a.parquet", [{"secret": 2}])
    lake.admin.post("/groups", {"name": "analysts"})
    lake.admin.put("/groups/analysts/members/rita")
    _give(lake, principal, which, is_there=rows is not None)
    for target in TARGETS:
        lake.admin.get(f"/data/datasets/{target}/export?select=country", buffered=True)
    if principal.name != "nobody":
        lake.caller = log_in(app, "root" if principal.name == "admin" else "rita")
    return lake


def put(folder: Path, rows: Rows, schema: pa.Schema) -> None:
    """The rows as a table and as files; each row's `n` says which version and which file it came in."""
    starts = (0, *VERSIONS)
    for start, end in zip(starts, VERSIONS, strict=False):
        part = [row for row in rows if start <= row["n"] < end]
        append(folder / TABLE, pa.Table.from_pylist(part, schema))
    (folder / FILES).mkdir(parents=True)
    for number, (start, end) in enumerate(((0, 120), (120, 200))):
        part = [row for row in rows if start <= row["n"] < end]
        pq.write_table(pa.Table.from_pylist(part, schema), folder / FILES / f"part-{number}.parquet")


def _give(lake: Lake, principal: Principal, which: str, *, is_there: bool) -> None:
    given = principal.grants
    if which == "twin" and not principal.sees_nothing and principal.name != "admin":
        given = ({"columns": list(principal.visible)},) if principal.twin_grants is None else principal.twin_grants
    for more in given if is_there or all("target" in each for each in given) else ():
        targets = (more["target"],) if "target" in more else TARGETS
        rest = {name: value for name, value in more.items() if name != "target"}
        for target in targets:
            give(lake.admin, principal.principal, target, *principal.privileges, **rest)
    if principal.prepare is not None:
        principal.prepare(lake)


def content(principal: Principal, which: str) -> tuple[Rows | None, pa.Schema]:
    """The rows of a lake with their numbers `n`, and their schema; None where the datasets are absent."""
    rows = [{**row, "n": n} for n, row in enumerate(_numbered())]
    if which == "real" or principal.name == "admin":
        return rows, TRANSACTIONS
    if which == "other" or "write" in principal.privileges:
        return _other(principal, rows)
    return (None, TRANSACTIONS) if principal.sees_nothing else _twin(principal, rows)


def _numbered() -> Rows:
    """Transactions with values for every column, some of them sent again."""
    found = transactions()
    for n in range(0, len(found), 9):
        found[n] |= {"replay_id": f"r{n}", "original_timestamp": found[n]["timestamp"] - timedelta(hours=n % 5)}
    for n in range(9, len(found), 45):
        found[n]["transaction_id"] = found[n - 5]["transaction_id"]
    return found


def _twin(principal: Principal, rows: Rows) -> tuple[Rows, pa.Schema]:
    assert principal.admits is not None
    shown = [_shown(principal, row) for row in rows if principal.admits(row)]
    return shown, pa.schema([_field(principal, name) for name in principal.visible])


def _shown(principal: Principal, row: Row) -> Row:
    masks = {name: MASKED[mask][0] for name, mask in principal.masks.items()}
    return {"n": row["n"]} | {name: masks.get(name, _same)(row[name]) for name in principal.visible}


def _same(value: Any) -> Any:
    return value


def _field(principal: Principal, name: str) -> Any:
    kind = MASKED[principal.masks[name]][1] if name in principal.masks else None
    return pa.field(name, kind or TRANSACTIONS.field(name).type)


def _other(principal: Principal, rows: Rows) -> tuple[Rows, pa.Schema]:
    """Rows of which the principal sees the same: all the rest is another one."""
    changed: Rows = []
    for row in rows:
        if principal.admits is not None and principal.admits(row):
            changed.append(_with_other_secrets(principal, row))
        elif row["n"] % 3:
            changed += [_scrambled(principal, row, NAMES)] * (1 + row["n"] % 4)
    kept = [TRANSACTIONS.field(name).with_nullable(True) for name in NAMES if name not in principal.hidden]
    more = [pa.field("user_secret", pa.int64())] if principal.hidden or principal.sees_nothing else []
    return changed, pa.schema([*more, *kept])


def _with_other_secrets(principal: Principal, row: Row) -> Row:
    changed = _scrambled(principal, row, principal.hidden)
    for name, mask in principal.masks.items():
        changed[name] = _alike(row[name], mask)
    return changed


def _scrambled(principal: Principal, row: Row, names: Sequence[str]) -> Row:
    """The row with other values; what decides on its admission stays."""
    deciding = () if principal.admits is None else ("country", "n")
    return row | {name: _other_value(row[name], row["n"]) for name in names if name not in deciding}


def _other_value(value: Any, n: int) -> Any:
    if isinstance(value, str):
        return f"other {n}"
    if isinstance(value, datetime):
        return value + timedelta(days=n)
    return Decimal(n) + Decimal("0.5") if isinstance(value, Decimal) else n if isinstance(value, int) else value


def _alike(value: Any, mask: str) -> Any:
    """Another value that looks the same under a mask."""
    if value is None or mask == "hash":
        return value
    if mask == "year":
        return datetime(value.year, 3, 7, 1, 2, 3, tzinfo=UTC)
    if mask == "null":
        return _other_value(value, 77)
    return f"Some other {value[-4:]}" if len(value) >= 8 else value[::-1][:7]


def _expire(lake: Lake) -> None:
    engine = lake.app.extensions["lakeport"].door.engine
    with engine.begin() as connection:
        connection.execute(update(GrantRecord).values(expires_at=datetime(2026, 1, 1, tzinfo=UTC)))


def _replace(lake: Lake) -> None:
    """The grants were on a table that has gone; what is there now is another one."""
    there = (lake.folder / TABLE).is_dir()
    old = [] if there else [{**row, "n": n} for n, row in enumerate(transactions())]
    if old:
        append(lake.folder / TABLE, pa.Table.from_pylist(old, TRANSACTIONS))
    give(lake.admin, "rita", TABLE)
    if not there:
        shutil.rmtree(lake.folder / TABLE)
        return
    kept = lake.folder.parent / "kept"
    (lake.folder / TABLE).rename(kept)
    append(lake.folder / TABLE, pa.Table.from_pylist(transactions()[:7], TRANSACTIONS))
    shutil.rmtree(kept)


FRENCH = "country=eq.FR"
WITHOUT = ("user_id", "user_name", "payment_method", "product_category")


def is_french(row: Row) -> bool:
    return bool(row["country"] == "FR")


def everything(_: Row) -> bool:
    return True


def _columns(hidden: Sequence[str]) -> list[str]:
    return [name for name in NAMES if name not in hidden]


PRINCIPALS = (
    Principal("nobody"),
    Principal("none"),
    Principal("columns", ({"columns": _columns(WITHOUT)},), everything, WITHOUT),
    Principal("columns of figures", ({"columns": _columns(("replay_id",))},), everything, ("replay_id",)),
    Principal("rows", ({"filter": FRENCH},), is_french),
    Principal(
        "rows by a hidden column",
        ({"columns": _columns((*WITHOUT, "country")), "filter": FRENCH},),
        is_french,
        WITHOUT,
        named=("country",),
    ),
    Principal(
        "hash",
        ({"masks": {"user_name": "hash", "amount": "hash"}},),
        everything,
        masks={"user_name": "hash", "amount": "hash"},
    ),
    Principal(
        "hash of replays",
        ({"masks": {"transaction_id": "hash", "replay_id": "hash"}},),
        everything,
        masks={"transaction_id": "hash", "replay_id": "hash"},
    ),
    Principal(
        "last4",
        ({"masks": {"user_name": "last4", "status": "last4"}},),
        everything,
        masks={"user_name": "last4", "status": "last4"},
    ),
    Principal("year", ({"masks": {"original_timestamp": "year"}},), everything, masks={"original_timestamp": "year"}),
    Principal("year of time", ({"masks": {"timestamp": "year"}},), everything, masks={"timestamp": "year"}),
    Principal(
        "null",
        ({"masks": {"amount": "null", "user_id": "null", "product_name": "null"}},),
        everything,
        masks={"amount": "null", "user_id": "null", "product_name": "null"},
    ),
    Principal(
        "all at once",
        (
            {
                "columns": _columns((*WITHOUT[:1], "country")),
                "filter": FRENCH,
                "masks": {"user_name": "last4", "product_id": "hash", "original_timestamp": "year"},
            },
        ),
        is_french,
        WITHOUT[:1],
        named=("country",),
        masks={"user_name": "last4", "product_id": "hash", "original_timestamp": "year"},
    ),
    Principal("write only", ({},), None, privileges=("write",)),
    Principal(
        "export", ({"columns": _columns(WITHOUT), "filter": FRENCH},), is_french, WITHOUT, privileges=("export",)
    ),
    Principal(
        "folder",
        ({"target": "/", "filter": FRENCH},),
        is_french,
        twin_grants=({"target": "/", "columns": list(NAMES), "filter": FRENCH},),
    ),
    Principal("group", ({"columns": _columns(WITHOUT)},), everything, WITHOUT, principal="analysts"),
    Principal("expired", ({},), None, prepare=_expire),
    Principal("sleeping", (), None, prepare=_replace),
    Principal(
        "narrowed manager",
        ({"columns": _columns(WITHOUT), "filter": FRENCH},),
        is_french,
        WITHOUT,
        privileges=("manage",),
    ),
    Principal("admin", (), everything),
)
