"""The script over rows that are odd, bad or strange: what the core takes arrives as it is, the rest is parked alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from integration import core_client
from tests.integration.bases import Base, synced, times_created
from tests.integration.faulty_proxy import at_batch, faulty_proxy
from tests.integration.script import Script

LOOSE = "create table articles (id, title, content, updated_at, row_version)"
GOOD = "insert into articles values (:id, 'T', 'c', '2026-01-01 00:00:00', 1)"
TEXTS = ["'); drop table articles; --", '"quoted" \\ back', "😀 é \u2028 end", "\t tab\r\n", "null", "%s ? :id {}"]


@pytest.fixture
def loose(base: Base) -> Base:
    """A base A whose columns take anything, without tombstones."""
    base.execute("drop table articles")
    base.execute("drop table article_tombstones")
    base.execute(LOOSE)
    return base


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        pytest.param("5, 'T', null, '2026-01-01', 1", "content", marks=pytest.mark.scenario("refused_row", "script")),
        pytest.param(
            "5, 'T', 'a' || char(0), '2026-01-01', 1",
            "NUL character",
            marks=pytest.mark.scenario("strange_text", "script"),
        ),
        pytest.param(
            "5, 'T', cast(x'61ff62' as text), '2026-01-01', 1",
            "cannot be written as JSON",
            marks=pytest.mark.scenario("strange_text", "script"),
        ),
        pytest.param("cast(x'35ff' as text), 'T', 'c', '2026-01-01', 1", "cannot be written as JSON"),
        pytest.param(
            "5, 'T', replace(hex(zeroblob(2500000)), '0', 'x'), '2026-01-01', 1",
            "content",
            marks=pytest.mark.scenario("five_megabytes", "script"),
        ),
        pytest.param(
            "5, 'T', 'c', '2026-01-01', null", "external_version", marks=pytest.mark.scenario("no_version", "script")
        ),
        pytest.param("5, 'T', 'c', '2026-01-01', 1e30", "external_version"),
        pytest.param(
            "null, 'T', 'c', '2026-01-01', 1", "cannot be named", marks=pytest.mark.scenario("null_key", "script")
        ),
    ],
    ids=[
        "null",
        "zero byte",
        "half a character",
        "half a character in the key",
        "5 MB",
        "none",
        "beyond 64 bits",
        "no key",
    ],
)
@pytest.mark.scenario("poison_among_good", "script")
@pytest.mark.scenario("mended_row", "script")
def test_a_bad_row_is_parked_alone_until_it_is_mended(script: Script, loose: Base, bad: str, reason: str) -> None:
    loose.execute(f"insert into articles values ({bad})")
    loose.execute(GOOD, *({"id": n} for n in range(10, 20)))
    for _ in range(2):
        ran = script.run()
        assert (ran.code, "1 rows are parked" in ran.told, reason in ran.told) == (3, True, True), ran.told
    assert synced(script.core, script.origin).keys() == {str(n) for n in range(10, 20)}
    assert script.run("--verify").told.splitlines()[0].startswith("missing ")
    loose.execute(
        "update articles set id = 5, title = 'T', content = 'c', row_version = 2 where id not between 10 and 19"
    )
    loose.execute("update articles set id = 5, title = 'T', content = 'c', row_version = 2 where id is null")
    assert script.run().code == 0
    assert synced(script.core, script.origin)["5"] == ("T", "c")


@pytest.mark.scenario("strange_text", "script")
def test_strange_texts_arrive_as_they_are(script: Script, base: Base) -> None:
    rows = [{"id": n, "title": text.strip() or "T", "content": text} for n, text in enumerate(TEXTS)]
    base.execute("insert into articles (id, title, content) values (:id, :title, :content)", *rows)
    assert script.run().code == 0
    assert synced(script.core, script.origin) == base.rows()


@pytest.mark.scenario("no_time", "script")
def test_a_row_without_a_time_is_brought_by_a_reconcile(script: Script, loose: Base) -> None:
    loose.execute(GOOD, {"id": 1})
    loose.execute("insert into articles values (2, 'T', 'c', null, 1)")
    assert script.run().code == 0
    assert synced(script.core, script.origin).keys() == {"1"}
    assert script.run("--verify").told.splitlines()[0] == "missing 2"
    assert script.run("--fix").code == 0
    assert synced(script.core, script.origin).keys() == {"1", "2"}


@pytest.mark.scenario("empty_source", "script")
def test_an_empty_source_is_in_step(script: Script, base: Base) -> None:
    assert script.run().code == 0
    assert script.run("--verify").code == 0
    assert synced(script.core, script.origin) == {}


@pytest.mark.scenario("other_origin", "script")
def test_another_source_with_the_same_ids_keeps_its_own(script: Script, base: Base, tmp_path: Path) -> None:
    base.fill(range(5))
    assert script.run().code == 0
    before = base.rows()
    base.execute("update articles set content = 'theirs'")
    assert replace(script, origin=f"{script.origin}_2").run().code == 0
    assert synced(script.core, script.origin) == before
    assert synced(script.core, f"{script.origin}_2") == base.rows()


@pytest.mark.scenario("out_of_order", "script")
@pytest.mark.scenario("older_after_newer", "script")
@pytest.mark.scenario("two_copies", "script")
def test_a_batch_held_up_on_its_way_undoes_nothing_of_a_copy_that_passed_it(
    script: Script, base: Base, tmp_path: Path
) -> None:
    base.fill(range(4))
    other = replace(script, folder=tmp_path / "other")

    def pass_by() -> None:
        base.execute("update articles set content = 'newer' where id = 1")
        base.execute("delete from articles where id = 2")
        passing = other.started()
        passing.communicate(timeout=60)
        assert passing.returncode == 0

    with faulty_proxy(script.core.url, 0, 0) as proxy:
        proxy.interfere = at_batch(1, pass_by)
        ran = replace(script, target=proxy.url).run()
    assert (ran.code, "2 stale, 2 unchanged" in ran.told) == (0, True), ran.told
    assert synced(script.core, script.origin) == base.rows()
    assert set(times_created(script.core, script.origin).values()) == {1}


@pytest.mark.scenario("older_after_newer", "script")
def test_a_source_that_was_restored_is_followed_by_a_reconcile_only(script: Script, loose: Base) -> None:
    loose.execute(GOOD, {"id": 1}, {"id": 2})
    script.run()
    loose.execute("update articles set content = 'older', row_version = 0 where id = 1")
    assert "1 stale" in script.run().told
    assert synced(script.core, script.origin)["1"] == ("T", "c")
    assert script.run("--fix").code == 0
    assert synced(script.core, script.origin)["1"] == ("T", "older")


@pytest.mark.scenario("refused_row", "script")
def test_a_delete_that_was_parked_is_tried_again(script: Script, base: Base) -> None:
    base.fill(range(3))
    script.run()
    base.execute("drop table article_tombstones")
    base.execute("create table article_tombstones (id, deleted_at, row_version)")
    base.execute("drop trigger articles_deleted")
    base.execute("delete from articles where id = 1")
    base.execute("insert into article_tombstones values (1, '2026-01-01 00:00:00', null)")
    assert script.run().code == 3
    base.execute("update article_tombstones set row_version = 99")
    ran = script.run("--overlap", "0")
    assert (ran.code, "1 deleted" in ran.told) == (0, True), ran.told
    assert synced(script.core, script.origin) == base.rows()


@pytest.mark.parametrize("column", ["colour", "content"])
@pytest.mark.scenario("new_column", "script")
@pytest.mark.scenario("schema_change", "script")
def test_a_table_that_changes_under_a_run_is_read_on_or_said(script: Script, base: Base, column: str) -> None:
    base.fill(range(5_000))
    changes = {
        "colour": "alter table articles add column colour text",
        "content": "alter table articles rename column content to body",
    }
    with faulty_proxy(script.core.url, 0, 0) as proxy:
        proxy.interfere = at_batch(1, lambda: base.execute(changes[column]))
        through = replace(script, target=proxy.url)
        ran = through.run()
        if column == "content":
            assert (ran.code, "Base A cannot be read: no such column" in ran.told) == (5, True), ran.told
            again = through.run()
            assert (again.code, "has no column 'content'" in again.told) == (2, True), again.told
            base.execute("alter table articles rename column body to content")
            ran = through.run()
    assert ran.code == 0, ran.told
    assert synced(script.core, script.origin) == base.rows()


@pytest.mark.scenario("poison_among_good", "script")
def test_a_row_that_the_core_always_fails_at_is_parked_and_the_others_go_on(
    script: Script, base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_client, "FIRST_PAUSE_SECONDS", 0.001)
    base.fill(range(1_100))
    with faulty_proxy(script.core.url, 0, 0) as proxy:
        proxy.interfere = lambda _, body: "refused" if b'"external_id":"7"' in body else ""
        through = replace(script, target=proxy.url)
        ran = through.run()
        assert (ran.code, "  7: the core failed at it" in ran.told) == (3, True), ran.told
        assert synced(script.core, script.origin).keys() == base.rows().keys() - {"7"}
        proxy.interfere = lambda _, body: ""
        assert through.run().code == 0
    assert synced(script.core, script.origin) == base.rows()


@pytest.mark.scenario("core_fails", "script")
def test_a_core_that_fails_at_everything_is_no_fault_of_the_rows(script: Script, base: Base) -> None:
    base.fill(range(20))
    with faulty_proxy(script.core.url, 0, 0) as proxy:
        proxy.interfere = lambda path, _: "refused" if path.endswith("/batch") else ""
        through = replace(script, target=proxy.url)
        ran = through.run("--patience", "4")
        assert (ran.code, "the last answer was 500" in ran.told) == (6, True), ran.told
        proxy.interfere = lambda path, _: ""
        assert through.run().code == 0


@pytest.mark.scenario("full_disk", "script")
@pytest.mark.parametrize("room_bytes", [0, 40_960])
def test_without_room_for_what_it_remembers_a_run_ends_and_the_next_goes_on(
    script: Script, base: Base, room_bytes: int
) -> None:
    base.fill(range(2_000))
    base.execute("update articles set title = '' where id % 4 = 0")
    ran = script.limited(room_bytes)
    assert (ran.code, "Traceback" in ran.told) == (2, False), ran.told
    assert "The state" in ran.told
    again = script.run()
    assert (again.code, "500 rows are parked" in again.told) == (3, True), again.told
    assert synced(script.core, script.origin).keys() == {key for key, (title, _) in base.rows().items() if title}
    assert set(times_created(script.core, script.origin).values()) == {1}
