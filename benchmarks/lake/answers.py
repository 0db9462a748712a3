"""Whether the servers answer the same: rows as plain values, whatever JSON makes of times and decimals."""

from datetime import UTC, datetime
from typing import Any

import duckdb

from benchmarks.lake.questions import POLICY, Question
from benchmarks.lake.servers import Row

TIME = "timestamp"
CENTS = 2


def check(question: Question, answers: dict[str, list[Row]], data: duckdb.DuckDBPyConnection) -> None:
    """Raise AssertionError where an answer to a question is not right; `data` has the rows as `transactions`."""
    plain = {name: [_plain(row) for row in answer] for name, answer in answers.items()}
    expected = next(iter(plain.values()))
    for name, found in plain.items():
        right = _present(question, found, data) if question.condition else expected
        assert found, f"{question.name}: {name} answers with no row"
        assert found == right, f"{question.name}: {name} answers {found[:2]}, not {right[:2]}"


def _present(question: Question, found: list[Row], data: duckdb.DuckDBPyConnection) -> list[Row]:
    """Those of the rows that are among the right ones, in the order found."""
    ids = [row["transaction_id"] for row in found]
    relation = data.table("transactions").filter(POLICY).filter(question.condition)
    matching = relation.filter(f"transaction_id in ({', '.join(map(str, ids))})")
    rows = (dict(zip(matching.columns, values, strict=True)) for values in matching.fetchall())
    by_id = {row["transaction_id"]: _plain(row) for row in rows}
    return [by_id[each] for each in dict.fromkeys(ids) if each in by_id]


def _plain(row: Row) -> Row:
    return {name: _value(name, value) for name, value in row.items()}


def _value(name: str, value: Any) -> Any:
    if name == TIME:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return time.astimezone(UTC)
    if name == "amount":
        return round(float(value), CENTS)
    return value
