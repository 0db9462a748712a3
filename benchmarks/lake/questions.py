"""What is asked of every server: the same question in the form that each of them takes."""

from dataclasses import dataclass
from datetime import UTC, timedelta
from urllib.parse import urlencode

import duckdb

POLICY = "currency in ('EUR', 'USD', 'JPY')"
FILTER = "country = 'FR' and amount > 500 and customer_rating > 3"
ROWS_PATH = "/data/datasets/transactions/rows"
DATASETTE_ROWS = "/lake/transactions.json?_shape=array&_nocount=1&_size=10&currency__in=EUR,USD,JPY"
FIRST_PAGE, DEEP, ANY_ORDER = "first page", "G", "G in any order"


@dataclass(frozen=True)
class Question:
    """One piece of work; an empty path or text is not asked.

    Where any rows are right that fulfil a condition, `condition` says which.
    """

    name: str
    what: str
    core_path: str = ""
    roapi_sql: str = ""
    datasette_path: str = ""
    condition: str = ""


@dataclass(frozen=True)
class Places:
    """Places in the data that the questions name: times in RFC 3339, the place of a page among the visible rows."""

    until: str
    five_minutes_before: str
    thirty_days_before: str
    some_id: int
    offset: int
    id_before_offset: int

    @classmethod
    def of(cls, data: duckdb.DuckDBPyConnection) -> "Places":
        """Those of the view `transactions`: the page begins after a tenth of its rows."""
        last, count = data.sql('select max("timestamp"), count(*) from transactions').fetchall()[0]
        until = last.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        visible = data.table("transactions").filter(POLICY).order("transaction_id")
        times = (until - back for back in (timedelta(), timedelta(minutes=5), timedelta(days=30)))
        some = visible.filter(f"transaction_id > {count * 3 // 4}").limit(1)
        before = visible.limit(1, offset=count // 10 - 1)
        end, minutes, month = (f"{time:%Y-%m-%dT%H:%M:%S.000Z}" for time in times)
        return cls(end, minutes, month, _id(some), count // 10, _id(before))


def questions(places: Places, cursor: str) -> list[Question]:
    """All of them; `cursor` is the core's for the page after `id_before_offset`."""
    return [*_pages(places, cursor), *_figures(places)]


def _pages(places: Places, cursor: str) -> list[Question]:
    after = places.id_before_offset
    ordered = _page("true", "order by transaction_id", places.offset)
    return [
        _sql_question(
            "A",
            "10 rows by three filters",
            f"{ROWS_PATH}?country=FR&amount=gt.500&customer_rating=gt.3&limit=10",
            _page(FILTER),
            condition=FILTER,
        ),
        _sql_question(
            "B",
            "the same, newest first",
            f"{ROWS_PATH}?country=FR&amount=gt.500&customer_rating=gt.3&order=timestamp.desc&limit=10",
            _page(FILTER, "order by timestamp desc"),
        ),
        _sql_question(
            "C",
            "one row by its id",
            f"{ROWS_PATH}?transaction_id={places.some_id}&limit=10",
            _page(f"transaction_id = {places.some_id}"),
        ),
        Question(FIRST_PAGE, "the first 10 rows", core_path=f"{ROWS_PATH}?limit=10"),
        Question(
            DEEP,
            f"10 rows after {places.offset:,} by id",
            f"{ROWS_PATH}?limit=10&cursor={cursor}",
            ordered,
            f"{DATASETTE_ROWS}&_next={after}",
        ),
        Question(
            ANY_ORDER,
            f"some 10 rows after {places.offset:,}",
            roapi_sql=_page("true", "", places.offset),
            condition="true",
        ),
    ]


def _figures(places: Places) -> list[Question]:
    month, minutes = places.thirty_days_before, places.five_minutes_before
    return [
        _sql_question(
            "D",
            "sums by user and type, 30 days",
            f"/analytics/spend-by-user-and-type?window=30d&at={places.until}",
            _figure(
                "user_id, transaction_type, currency, sum(amount) as amount, count(*) as transactions",
                (month, places.until),
                "group by user_id, transaction_type, currency order by user_id, transaction_type, currency limit 20",
            ),
        ),
        _sql_question(
            "E",
            "10 products most bought, 30 days",
            f"/analytics/top-products?x=10&window=30d&at={places.until}",
            _figure(
                "product_id, product_name, count(*) as bought",
                (month, places.until),
                "group by product_id, product_name order by bought desc, product_id limit 10",
            ),
        ),
        _sql_question(
            "F",
            "sums of the last five minutes",
            f"/analytics/spend?window=5m&at={places.until}",
            _figure(
                "currency, sum(amount) as amount, count(*) as transactions",
                (minutes, places.until),
                "group by currency order by currency",
            ),
        ),
    ]


def _sql_question(name: str, what: str, core_path: str, sql: str, condition: str = "") -> Question:
    path = f"/lake.json?{urlencode({'_shape': 'array', 'sql': sql})}"
    return Question(name, what, core_path, sql, path, condition)


def _page(condition: str, order: str = "", offset: int = 0) -> str:
    parts = ("select * from transactions where", POLICY, "and", condition, order, "limit 10")
    return " ".join((*parts, f"offset {offset}") if offset else parts)


def _figure(columns: str, window: tuple[str, str], rest: str) -> str:
    start, end = window
    during = f"timestamp >= '{start}' and timestamp < '{end}'"
    parts = ("select", columns, "from transactions where", POLICY, "and status = 'completed' and", during, rest)
    return " ".join(parts)


def _id(row: duckdb.DuckDBPyRelation) -> int:
    return int(row.fetchall()[0][0])
