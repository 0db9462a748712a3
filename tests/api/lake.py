"""A small lake in an app's data folder, and grants on what is in it.

    @pytest.fixture
    def app(make_app: Callable[..., Flask]) -> Flask:
        return with_lake(make_app())

`transactions` (a Delta table of 200 rows in versions 0, 1, 2), `transactions_quarantine` (a Delta table of 3 rows),
`stores` (two Parquet files, 12 rows), `visits` (Parquet in partitions `country=…`, 30 rows), `sales.orders` (a Delta
table of 50 rows in versions 0 and 1), `sales.regions` (one Parquet file, 3 rows), and the sql table `articles`.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import write_deltalake
from flask import Flask

from tests.conftest import Caller

TIME = pa.timestamp("us", "UTC")
TRANSACTIONS = pa.schema(
    [
        pa.field("transaction_id", pa.string(), nullable=False),
        pa.field("timestamp", TIME, nullable=False),
        ("user_id", pa.int64()),
        ("user_name", pa.string()),
        ("transaction_type", pa.string()),
        ("product_id", pa.string()),
        ("product_name", pa.string()),
        ("product_category", pa.string()),
        ("amount", pa.decimal128(18, 2)),
        ("currency", pa.string()),
        ("payment_method", pa.string()),
        ("country", pa.string()),
        ("status", pa.string()),
        ("customer_rating", pa.int32()),
        ("original_timestamp", TIME),
        ("replay_id", pa.string()),
    ]
)
VERSIONS = (100, 160, 200)
"""Rows of `transactions` in its versions 0, 1 and 2; row n is the same in each that has it."""
START = datetime(2026, 10, 1, tzinfo=UTC)
USERS = ("Ada Lovelace", "Alan Turing", "Grace Hopper", "Bo", "Edsger Dijkstra", "B. Liskov", "José Núñez", "李小龙")
PRODUCTS = (("p1", "Lamp", "home"), ("p2", "Kettle", "kitchen"), ("p3", "Novel", "books"), ("p4", "Racket", "sport"))
COUNTRIES = ("FR", "DE", "ES", "GB", None)
CURRENCIES = ("EUR", "EUR", "EUR", "GBP", "USD")
Row = dict[str, Any]


def with_lake(app: Flask) -> Flask:
    """The app, with the lake in its data folder."""
    build_lake(lake_folder(app))
    return app


def lake_folder(app: Flask) -> Path:
    """Where the lake of an app lies."""
    folder: Path = app.extensions["lakeport"].settings.lake_dir
    return folder


def build_lake(root: Path) -> None:
    """Make every dataset in an empty folder."""
    rows, starts = transactions(), (0, *VERSIONS)
    for start, end in zip(starts, VERSIONS, strict=False):
        append(root / "transactions", pa.Table.from_pylist(rows[start:end], TRANSACTIONS))
    append(root / "transactions_quarantine", pa.Table.from_pylist(refused()))
    for start, end in ((0, 40), (40, 50)):
        append(root / "sales" / "orders", pa.Table.from_pylist(orders()[start:end]))
    write_parquet(root / "sales" / "regions" / "regions.parquet", regions())
    write_parquet(root / "stores" / "part-0.parquet", stores()[:8])
    write_parquet(root / "stores" / "part-1.parquet", stores()[8:])
    for country in ("DE", "ES", "FR"):
        found = [row for row in visits() if row["country"] == country]
        stored = [{name: row[name] for name in row if name != "country"} for row in found]
        write_parquet(root / "visits" / f"country={country}" / "part-0.parquet", stored)


def append(folder: Path, rows: pa.Table) -> None:
    """Append a version to a Delta table; the first one makes it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_deltalake(folder, rows, mode="append")


def write_parquet(file: Path, rows: Sequence[Row]) -> None:
    """Write a Parquet file, and the folders it lies in."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), file)


def transactions() -> list[Row]:
    """The rows of `transactions`, as Python values, in the order in which they are stored."""
    return [_transaction(n) for n in range(VERSIONS[-1])]


def _transaction(n: int) -> Row:
    product_id, product_name, product_category = PRODUCTS[n // 3 % len(PRODUCTS)]
    return {
        "transaction_id": f"t{n:04}",
        "timestamp": START + timedelta(hours=n, microseconds=n),
        "user_id": n % len(USERS) + 1,
        "user_name": USERS[n % len(USERS)],
        "transaction_type": ("purchase", "purchase", "refund")[n % 3],
        "product_id": product_id,
        "product_name": product_name,
        "product_category": product_category,
        "amount": Decimal(n * 37 % 500) + Decimal("0.25"),
        "currency": CURRENCIES[n % len(CURRENCIES)],
        "payment_method": ("card", "transfer")[n % 2],
        "country": COUNTRIES[n % len(COUNTRIES)],
        "status": "completed" if n % 7 else "pending",
        "customer_rating": n % 6 or None,
        "original_timestamp": None,
        "replay_id": None,
    }


def refused() -> list[Row]:
    """The rows of `transactions_quarantine`."""
    return [
        {"payload": f'{{"amount": "x{n}"}}', "reason": "amount is not a number", "topic": "transactions", "offset": n}
        for n in range(3)
    ]


def orders() -> list[Row]:
    """The rows of `sales.orders`."""
    return [
        {"order_id": n, "customer": f"customer {n % 5}", "total": n * 1.5, "country": ("FR", "DE")[n % 2]}
        for n in range(50)
    ]


def regions() -> list[Row]:
    """The rows of `sales.regions`."""
    return [{"region": name, "manager": f"{name} manager"} for name in ("north", "south", "west")]


def stores() -> list[Row]:
    """The rows of `stores`; in the order of its files."""
    return [
        {
            "store_id": n,
            "name": f"Store {n}",
            "country": ("FR", "DE", "ES")[n % 3],
            "opened_on": date(2020 + n % 4, 1 + n, 1),
            "area": n * 10.5,
            "is_open": n % 4 != 0,
        }
        for n in range(12)
    ]


def visits() -> list[Row]:
    """The rows of `visits`, in no order that is promised; `country` is the partition."""
    return [{"visit_id": n, "minutes": n % 9, "country": ("FR", "DE", "ES")[n % 3]} for n in range(30)]


def give(giver: Caller, principal: str, target: str, *privileges: str, **more: Any) -> Row:
    """Give a grant, of `read` unless privileges are named; a target that begins with `/` is a folder.

    `more` are columns, filter, masks, expires_at. Returns the grant as the API shows it.
    """
    answer = giver.post("/grants", new_grant(principal, target, *privileges, **more))
    assert answer.status_code == 201, answer.json
    return dict(answer.json or {})


def new_grant(principal: str, target: str, *privileges: str, **more: Any) -> Row:
    """The body that gives a grant."""
    kind = "path" if target.startswith("/") else "dataset"
    return {"principal": principal, kind: target, "privileges": list(privileges or ("read",)), **more}
