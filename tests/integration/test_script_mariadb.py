"""The script over what only MariaDB has: its collations, and times that are cut to the digits of their column."""

from collections.abc import Callable, Iterator

import pytest

from tests.integration.bases import Base, mariadb_base, synced
from tests.integration.script import Script

ScriptOn = Callable[[Base], Script]
TEXT_KEYS = """
create table articles (
    id varchar(50) collate {collation} primary key, title varchar(200), content text, updated_at datetime({digits}),
    key updated (updated_at, id)
) default character set utf8mb4
"""
INSERT = "insert into articles values (:id, :id, 'c', :at)"


@pytest.fixture
def maria(mariadb_url: str) -> Iterator[Base]:
    """A base A on MariaDB without tables."""
    with mariadb_base(mariadb_url) as base:
        base.execute("drop table articles")
        base.execute("drop table article_tombstones")
        yield base


@pytest.mark.scenario("equal_timestamps", "script")
@pytest.mark.scenario("many_pages", "script")
@pytest.mark.parametrize(
    ("collation", "digits"), [("utf8mb4_general_ci", 6), ("utf8mb4_unicode_ci", 3), ("utf8mb4_bin", 0)]
)
def test_keys_in_the_order_of_a_collation_are_all_read_and_compared(
    script_on: ScriptOn, maria: Base, collation: str, digits: int
) -> None:
    script = script_on(maria)
    maria.execute(TEXT_KEYS.format(collation=collation, digits=digits))
    keys = [f"{word}{n}" for word in ("a", "B", "é", "ß", "Z_", "-", "😀") for n in range(300)]
    maria.execute(INSERT, *({"id": key, "at": "2026-01-01 00:00:00.123456"} for key in keys))
    assert script.run().code == 0
    assert synced(script.core, script.origin).keys() == set(keys)
    assert script.run("--verify").code == 0
    maria.execute("delete from articles where id in ('B7', 'é299')")
    maria.execute(INSERT, {"id": "new", "at": "2020-01-01"})
    maria.execute("update articles set content = 'other' where id = '😀1'")
    found = script.run("--verify")
    assert set(found.told.splitlines()[:-1]) == {"extra B7", "extra é299", "missing new", "differs 😀1"}
    assert script.run("--fix").code == 0
    assert synced(script.core, script.origin) == maria.rows()


@pytest.mark.scenario("update", "script")
def test_times_are_versions_to_the_microsecond(script_on: ScriptOn, maria: Base) -> None:
    script = script_on(maria)
    maria.execute(TEXT_KEYS.format(collation="utf8mb4_bin", digits=6))
    maria.execute(INSERT, {"id": "k", "at": "2026-01-01 00:00:00.000001"})
    script.run()
    maria.execute("update articles set content = 'newer', updated_at = '2026-01-01 00:00:00.000002'")
    assert "1 updated" in script.run().told
    maria.execute("update articles set content = 'older', updated_at = '2026-01-01 00:00:00'")
    assert "1 updated" not in script.run().told
    assert synced(script.core, script.origin) == {"k": ("k", "newer")}
