"""`docs/INTEGRATION.md` names every option and exit code of script and producer, and defines the hash that is used."""

import re
from pathlib import Path

import psycopg
import pytest

from integration import diff, errors, kafka_producer, sync_script
from integration.rows import row_hash

DOCUMENT = (Path(__file__).parents[2] / "docs" / "INTEGRATION.md").read_text(encoding="utf-8")
CODES = [
    errors.ROWS_PARKED,
    errors.DIFFERENCES_FOUND,
    *(
        each.exit_code
        for kind in (errors.Stop, errors.Away)
        for each in kind.__subclasses__()
        if each is not errors.Away
    ),
]


def test_every_option_is_described() -> None:
    options = {
        name
        for command in (sync_script.main, diff.main, kafka_producer.main)
        for each in command.params
        for name in each.opts
    }
    assert [name for name in options if not re.search(rf"`[^`\n]*{name}\b", DOCUMENT)] == []


def test_every_exit_code_is_described() -> None:
    assert [code for code in CODES if f"\n| {code} | " not in DOCUMENT] == []


@pytest.mark.parametrize("row", [(1, 7, "Title", "words"), (-20, -1, "Überschrift", ""), (3, 2**62, "", "é" * 300)])
def test_the_sql_of_the_document_gives_the_hash(postgresql_url: str, row: tuple[int, int, str, str]) -> None:
    found = re.search(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found
    columns = "select %s::bigint as id, %s::bigint as row_version, %s::text as title, %s::text as content"
    with psycopg.connect(postgresql_url) as connection:
        (hashed,) = connection.execute(f"select {found[1]} from ({columns}) as articles".encode(), row).fetchone() or ()
    key, version, title, content = row
    assert hashed % 2**64 == row_hash(str(key), version, title, content)
