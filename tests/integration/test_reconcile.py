"""`--verify`, `--fix` and `integration.diff`: what differs is found, and made alike."""

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest
from click.testing import CliRunner

from integration import diff
from integration.comparison import Comparison
from integration.core_client import CoreClient, Credentials
from integration.hashes import DatabaseHashes, MemoryHashes, ScannedHashes, Span, hashes_of
from integration.mapping import SourceMapping
from integration.sources import open_source
from tests.integration.bases import Base, synced
from tests.integration.script import Script

ROWS = range(3_000)
ScriptOn = Callable[[Base], Script]
HASHED_BY = {"sqlite": ScannedHashes, "postgresql": DatabaseHashes, "mariadb": MemoryHashes}
SEEDED = {"missing 7", "differs 700", "extra 1500", "differs 2999", "missing 5000"}


@pytest.fixture
def differing(script_on: ScriptOn, any_base: Base) -> Script:
    """A core that was in step until some changes went by unseen, as without triggers."""
    script = script_on(any_base)
    any_base.fill(ROWS)
    script.run()
    _behind_its_back(script, 7, 700)
    any_base.execute("delete from articles where id = 1500")
    any_base.execute("delete from article_tombstones")
    any_base.execute("update articles set content = 'changed' where id = 2999")
    any_base.fill(range(5_000, 5_001), "new")
    return script


def _behind_its_back(script: Script, gone: int, edited: int) -> None:
    """An article that is deleted and one that is edited in the core."""
    token = script.core.log_in("admin", script.core.admin_password)
    for external_id, method, body in ((gone, "DELETE", None), (edited, "PATCH", {"content": "edited here"})):
        path = f"/articles?origin=eq.{script.origin}&external_id=eq.{external_id}"
        number = script.core.call("GET", path, token=token)[1]["data"][0]["id"]
        script.core.call(method, f"/articles/{number}", body, token)


def test_seeded_differences_are_found_and_fixed(differing: Script, any_base: Base) -> None:
    found = differing.run("--verify")
    assert (found.code, set(found.told.splitlines()[:-1])) == (4, SEEDED)
    assert found.told.splitlines()[-1].endswith("3,000 rows in base A, 2,999 in the core, 12 looked at, 5 differences")
    assert differing.run("--fix").code == 0
    assert synced(differing.core, differing.origin) == any_base.rows()
    assert differing.run("--verify").code == 0
    any_base.execute("update articles set content = 'later' where id in (7, 700)")
    assert differing.run().code == 0
    assert synced(differing.core, differing.origin) == any_base.rows()


@pytest.mark.scenario("late_beyond_overlap", "script")
def test_what_was_missed_beyond_the_overlap_is_there_after_a_reconcile(script: Script, base: Base) -> None:
    base.fill(range(100))
    script.run()
    late = "insert into articles (id, title, content, updated_at) values (:id, 'late', 'c', datetime('now', :before))"
    base.execute(late, *({"id": n, "before": f"-{n * 40} seconds"} for n in range(200, 260)))
    script.run()
    assert synced(script.core, script.origin).keys() < base.rows().keys()
    assert script.run("--fix").code == 0
    assert synced(script.core, script.origin) == base.rows()


def test_a_key_deleted_by_a_reconcile_may_come_back(differing: Script, any_base: Base) -> None:
    differing.run("--fix")
    any_base.fill(range(1_500, 1_501), "back")
    differing.run()
    assert synced(differing.core, differing.origin)["1500"] == ("Title 1500", "back é 1500")


def test_keys_that_are_texts_are_compared_by_their_bytes(script: Script, base: Base) -> None:
    base.execute("drop table articles")
    base.execute("create table articles (id text primary key, title text, content text, updated_at text)")
    keys = [f"{word}{n}" for word in ("a", "B", "é", "", "007") for n in range(80)]
    insert = "insert into articles values (:id, :id, 'c', '2026-01-01 00:00:00')"
    base.execute(insert, *({"id": key} for key in keys))
    base.execute("drop table article_tombstones")
    assert script.run().code == 0
    base.execute("delete from articles where id in ('B7', 'é79')")
    base.execute(insert, {"id": "Z"})
    found = script.run("--verify")
    assert set(found.told.splitlines()[:-1]) == {"extra B7", "extra é79", "missing Z"}
    assert script.run("--fix").code == 0
    assert script.run("--verify").code == 0


@pytest.mark.scenario("mass_delete", "script")
def test_an_empty_base_a_does_not_empty_the_core_by_accident(script: Script, base: Base) -> None:
    base.fill(range(300))
    script.run()
    base.execute("delete from articles")
    base.execute("delete from article_tombstones")
    refused = script.run("--fix")
    assert (refused.code, "300 of the core's 300 rows" in refused.told) == (2, True)
    assert len(synced(script.core, script.origin)) == 300
    assert script.run("--fix", "--delete-most").code == 0
    assert synced(script.core, script.origin) == {}


def test_the_core_of_another_origin_is_not_touched(script: Script, base: Base) -> None:
    base.fill(range(10))
    script.run()
    other = script.run("--verify", "--origin", "nobody")
    assert (other.code, other.told.count("missing")) == (4, 10)


def test_few_rows_are_looked_at_however_many_there_are(script: Script, base: Base) -> None:
    base.fill(range(10_000))
    script.run()
    base.execute("update articles set content = 'x', title = 'x' where id % 1000 = 0")
    core = CoreClient(script.core.url, Credentials(username="admin", password=script.core.admin_password), 20, print)
    with closing(core), open_source(base.url, SourceMapping()) as source:
        comparison = Comparison(core, source, script.origin)
        assert len(list(comparison.differences())) == 10
    assert comparison.rows_read <= 10_000 * 0.02


def test_a_database_sums_as_the_script_does(any_base: Base) -> None:
    any_base.fill(range(200))
    with open_source(any_base.url, SourceMapping()) as source:
        by_database, by_script = hashes_of(source, "integer"), MemoryHashes(source, "integer")
        assert isinstance(by_database, HASHED_BY[any_base.engine.dialect.name])
        spans = [Span(), Span(3, 170), Span(None, 0), Span(500, None), Span(7, 7), Span(2**63 - 1, None)]
        assert by_database.checksums(spans) == by_script.checksums(spans)


def test_the_tables_are_compared_directly_too(script: Script, base: Base) -> None:
    base.fill(range(20))
    script.run()
    database = script.core.data_dir / "lakeport.db"
    with closing(sqlite3.connect(database, timeout=15)) as connection, connection:
        forge = "update articles set content = 'forged' where origin = ? and external_id = '3'"
        connection.execute(forge, (script.origin,))
    environment = script.environment
    arguments = ["--target", script.core.url, "--origin", script.origin]
    alike = CliRunner().invoke(diff.main, arguments, env=environment)
    assert alike.exit_code == 0, alike.output
    found = CliRunner().invoke(diff.main, [*arguments, "--database", f"sqlite:///{database}"], env=environment)
    assert (found.exit_code, found.output.splitlines()[1:3]) == (4, ["misdigested 3", "differs 3"]), found.output
