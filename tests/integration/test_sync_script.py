"""`python -m integration.sync_script`: what is in base A is in base B, once, whatever happens in between."""

import json
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from integration import outages, sync_script
from rest_api.demo.base_a import build_base_a
from tests.integration.bases import Base, synced, times_created
from tests.integration.faulty_proxy import BATCH, faulty_proxy
from tests.integration.script import POINTS, Script
from tests.live import Live, LiveCore, call
from tests.servers import free_port

ROWS = range(1, 1_501)
# A run has two batches of articles and one of tombstones, but logs in once.
KILLS = [
    (point, when, nth)
    for point in POINTS
    for when in ("before", "after")
    for nth in (1, 2)
    if point != "settle" and (nth == 1 or point not in ("log in", "bind"))
]
ScriptOn = Callable[[Base], Script]


def assert_in_step(script: Script, base: Base) -> None:
    """Base B has just the rows of base A, and none was ever created twice without a delete."""
    assert synced(script.core, script.origin) == base.rows()


@pytest.mark.scenario("insert", "script")
@pytest.mark.scenario("unchanged", "script")
@pytest.mark.scenario("delivered_twice", "script")
@pytest.mark.scenario("many_pages", "script")
def test_a_first_run_brings_everything_and_a_second_changes_nothing(script_on: ScriptOn, any_base: Base) -> None:
    script = script_on(any_base)
    any_base.fill(ROWS)
    any_base.execute("delete from articles where id in (5, 9)")
    first = script.run()
    assert (first.code, "1,498 created" in first.told) == (0, True)
    assert_in_step(script, any_base)
    second = script.run()
    assert second.code == 0
    assert not {"created", "updated", "deleted,"} & set(second.told.split())


@pytest.mark.scenario("update", "script")
@pytest.mark.scenario("delete", "script")
@pytest.mark.scenario("delete_and_recreate", "script")
@pytest.mark.scenario("update_then_delete", "script")
def test_changes_deletes_and_keys_created_again_arrive(script_on: ScriptOn, any_base: Base) -> None:
    script = script_on(any_base)
    any_base.fill(range(20))
    script.run()
    any_base.execute("update articles set content = 'second' where id in (3, 4)")
    any_base.execute("delete from articles where id in (4, 5, 6)")
    any_base.fill(range(6, 7), "again")
    any_base.fill(range(30, 31))
    assert script.run().code == 0
    assert_in_step(script, any_base)
    assert synced(script.core, script.origin)["6"] == ("Title 6", "again é 6")


@pytest.mark.scenario("equal_timestamps", "script")
def test_rows_of_the_same_time_are_all_read(script_on: ScriptOn, any_base: Base) -> None:
    script = script_on(any_base)
    rows = [{"id": n} for n in ROWS]
    any_base.execute(
        "insert into articles (id, title, content, updated_at) values (:id, 'T', 'c', '2026-05-05 05:05:05.5')", *rows
    )
    script.run()
    assert_in_step(script, any_base)


@pytest.mark.scenario("late_commit", "script")
def test_what_commits_late_within_the_overlap_arrives(script_on: ScriptOn, any_base: Base) -> None:
    script = script_on(any_base)
    any_base.fill(range(5))
    script.run()
    late = f"(77, 'late', 'c', {any_base.ago(200)})"
    any_base.execute(f"insert into articles (id, title, content, updated_at) values {late}")
    script.run()
    assert_in_step(script, any_base)


@pytest.mark.scenario("local_edit", "script")
def test_a_local_edit_is_overwritten_by_the_next_change_of_the_source(script: Script, base: Base) -> None:
    base.fill(range(3))
    script.run()
    token = script.core.log_in("admin", script.core.admin_password)
    path = f"/articles?origin=eq.{script.origin}&external_id=eq.1"
    number = script.core.call("GET", path, token=token)[1]["data"][0]["id"]
    script.core.call("PATCH", f"/articles/{number}", {"content": "edited here"}, token)
    base.execute("update articles set content = 'changed there' where id = 1")
    script.run()
    assert_in_step(script, base)


@pytest.mark.scenario("killed", "script")
@pytest.mark.parametrize(("point", "when", "nth"), KILLS)
def test_a_run_killed_anywhere_loses_and_doubles_nothing(
    script: Script, base: Base, point: str, when: str, nth: int
) -> None:
    base.fill(range(1_020))
    base.execute("delete from articles where id < 15")
    # Older than the overlap, which would bring back what a watermark that moved too soon had lost.
    base.execute("update articles set updated_at = datetime('2026-01-01', '+' || id || ' minutes')")
    base.execute("update article_tombstones set deleted_at = datetime('2026-01-01', '+' || id || ' hours')")
    assert script.killed(point, when, nth) == -signal.SIGKILL
    base.execute("update articles set content = 'meanwhile' where id in (30, 1000)")
    assert script.run().code == 0
    assert_in_step(script, base)
    assert set(times_created(script.core, script.origin).values()) == {1}


@pytest.mark.scenario("killed", "script")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_killed_while_it_tries_parked_rows_again_forgets_none(script: Script, base: Base, when: str) -> None:
    base.fill(range(20))
    base.execute("update articles set title = '' where id in (3, 4)")
    assert script.run().code == 3
    base.execute("update articles set title = 'mended' where id = 3")
    assert script.killed("settle", when, 2) == -signal.SIGKILL
    ran = script.run()
    assert (ran.code, "1 rows are parked" in ran.told) == (3, True)
    assert synced(script.core, script.origin).keys() == base.rows().keys() - {"4"}


@pytest.mark.scenario("core_fails", "script")
@pytest.mark.scenario("core_cut", "script")
@pytest.mark.scenario("core_doubled", "script")
@pytest.mark.scenario("delivered_twice", "script")
@pytest.mark.parametrize("seed", range(2))
def test_answers_of_5xx_cut_or_doubled_change_nothing_in_the_end(script: Script, base: Base, seed: int) -> None:
    base.fill(range(5_000))
    with faulty_proxy(script.core.url, 0.3, seed) as proxy:
        assert replace(script, target=proxy.url).run().code == 0
    assert proxy.made.total() > proxy.made["none"]
    assert_in_step(script, base)
    assert set(times_created(script.core, script.origin).values()) == {1}


@pytest.mark.scenario("core_down_at_start", "script")
@pytest.mark.scenario("core_down_midway", "script")
@pytest.mark.parametrize("calls", [range(4), range(2, 7)], ids=["at the start", "in the middle"])
def test_a_core_that_is_away_for_a_while_is_waited_for(
    script: Script, base: Base, calls: range, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "TOLD_AFTER_SECONDS", 0.0)
    base.fill(ROWS)
    with faulty_proxy(script.core.url, 0, 0, outage=calls) as proxy:
        ran = replace(script, target=proxy.url).run()
    assert ran.code == 0
    assert ran.told.count("The core is away (no whole answer came); waiting for it") == 1, ran.told
    assert ran.told.count("The core answers again after") == 1, ran.told
    assert proxy.made["lost"] == len(calls)
    assert_in_step(script, base)


def test_a_core_that_stays_away_ends_the_run_and_the_next_goes_on(script: Script, base: Base) -> None:
    base.fill(ROWS)
    base.execute("update articles set updated_at = datetime('2026-01-01', '+' || id || ' minutes')")
    with faulty_proxy(script.core.url, 0, 0) as proxy:
        proxy.interfere = lambda path, body: "closed" if path == BATCH and b'"external_id":"1"' not in body else ""
        moved = replace(script, target=proxy.url)
        away = moved.run("--patience", "0.5")
        assert (away.code, "no whole answer came" in away.told) == (6, True)
        assert 0 < len(synced(script.core, script.origin)) < len(ROWS)
        proxy.interfere = lambda path, body: ""
        assert moved.run().code == 0
    assert_in_step(script, base)
    other = script.run()
    assert (other.code, "belongs to another target" in other.told) == (2, True)
    assert script.run("--from-start").code == 0


@pytest.mark.scenario("two_copies", "script")
def test_a_second_copy_is_told_that_one_is_running(script: Script, base: Base) -> None:
    base.fill(range(3))
    first = script.started("--watch", "30")
    try:
        assert first.stdout is not None
        first.stdout.readline()
        second = script.run()
    finally:
        first.terminate()
        first.communicate(timeout=10)
    assert (second.code, "Another copy is running" in second.told) == (8, True)


@pytest.mark.scenario("refused_row", "script")
@pytest.mark.scenario("poison_among_good", "script")
@pytest.mark.scenario("mended_row", "script")
def test_a_row_that_the_core_refuses_is_parked_and_the_others_go_on(script: Script, base: Base) -> None:
    base.fill(range(1_500))
    base.execute("update articles set title = '' where id = 7")
    base.execute("update articles set content = 'a' || char(0) || 'b' where id = 900")
    ran = script.run()
    assert (ran.code, "1,498 created" in ran.told, "2 parked" in ran.told) == (3, True, True)
    assert "  7: " in ran.told
    assert synced(script.core, script.origin).keys() == base.rows().keys() - {"7", "900"}
    assert script.run().code == 3
    base.execute("update articles set title = 'mended' where id = 7")
    base.execute("delete from articles where id = 900")
    assert script.run().code == 0
    assert_in_step(script, base)


def test_a_dry_run_says_just_what_a_run_then_does(script: Script, base: Base) -> None:
    base.fill(range(50))
    script.run()
    base.execute("update articles set content = 'new' where id in (1, 2)")
    base.execute("update articles set title = '' where id = 3")
    base.execute("delete from articles where id in (2, 4)")
    base.fill(range(4, 5), "again")
    base.fill(range(90, 93))
    before = synced(script.core, script.origin)
    told = script.run("--dry-run")
    assert synced(script.core, script.origin) == before
    done = script.run()
    assert told.told.splitlines()[-1].removesuffix("; nothing was changed") == done.told.splitlines()[0]
    assert set(told.told.splitlines()[:-1]) >= {"updated 1", "deleted 2", "updated 4", "created 90"}


@pytest.mark.parametrize(
    ("arguments", "env", "code", "sentence"),
    [
        (["--mapping", "nowhere.toml"], {}, 2, "cannot be read"),
        (["--source", "sqlite:///nowhere.db"], {}, 2, "There is no database nowhere.db"),
        (["--source", "nonsense"], {}, 2, "expected sqlite:///file"),
        (["--source", "postgresql://a:secret@h/x"], {}, 2, "Everybody on this machine sees a password"),
        (["--source", "oracle://h/x"], {}, 2, "no driver here for oracle://"),
        pytest.param(
            [],
            {"LAKEPORT_SOURCE": "postgresql://a:secret@127.0.0.1:1/x"},
            5,
            "Base A cannot be read",
            marks=pytest.mark.scenario("source_down_at_start", "script"),
        ),
        (["--target", "core"], {}, 2, "expected http://host:port"),
        (["--target", "http://a:secret@core"], {}, 2, "credentials come from the environment"),
        pytest.param(
            [],
            {"LAKEPORT_PASSWORD": "secret"},
            7,
            "did not let 'admin' log in",
            marks=pytest.mark.scenario("wrong_password", "script"),
        ),
        ([], {"LAKEPORT_TOKEN": "secret"}, 7, "The core refused"),
        ([], {"LAKEPORT_USERNAME": ""}, 2, "Put LAKEPORT_USERNAME"),
        (["--no-such"], {}, 2, "No such option"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_and_a_code(
    script: Script, base: Base, arguments: list[str], env: dict[str, str], code: int, sentence: str
) -> None:
    base.fill(range(1))
    ran = script.run(*arguments, **env)
    assert ran.code == code, ran.told
    assert sentence in ran.told
    assert not {"secret", "Traceback"} & set(ran.told.replace("'", " ").split())


@pytest.mark.parametrize(
    ("mapping", "sentence"),
    [
        ("nonsense", "is not TOML"),
        ("[article]", "did you mean 'articles'?"),
        ("[articles]\ntable = 'article'", "has no table 'article'; did you mean 'articles'?"),
        ("[articles]\ntitle = 'titel'", "no column 'titel'; did you mean 'title'?"),
        ("[articles]\ncolour = 'x'", "knows no 'colour'"),
        ("[articles]\nid = 3", "takes names in quotes"),
        ("[articles]\nrow_version = 'row_version'\n[tombstones]\n", "versions have one scale"),
    ],
)
def test_a_mapping_that_does_not_fit_is_said_where(
    script: Script, base: Base, tmp_path: Path, mapping: str, sentence: str
) -> None:
    base.fill(range(1))
    (tmp_path / "map.toml").write_text(mapping)
    ran = script.run("--mapping", str(tmp_path / "map.toml"))
    assert (ran.code, sentence in ran.told) == (2, True), ran.told


@pytest.mark.parametrize("time", ["'soon'", "17"])
def test_times_that_are_none_are_said(script: Script, base: Base, time: str) -> None:
    base.execute(f"insert into articles (id, title, content, updated_at) values (1, 'T', 'c', {time})")
    ran = script.run()
    assert (ran.code, "are none" in ran.told) == (2, True), ran.told


@pytest.mark.scenario("other_names", "script")
def test_other_tables_and_names_are_mapped(script: Script, base: Base, tmp_path: Path) -> None:
    base.execute("create table notes (nr integer primary key, head text, body text, changed text)")
    base.execute("insert into notes values (1, 'Head', 'Body', '2026-01-01T10:00:00Z')")
    (tmp_path / "map.toml").write_text(
        "[articles]\ntable = 'notes'\nid = 'nr'\ntitle = 'head'\ncontent = 'body'\nupdated_at = 'changed'\n"
    )
    assert script.run("--mapping", str(tmp_path / "map.toml")).code == 0
    assert synced(script.core, script.origin) == {"1": ("Head", "Body")}


def test_no_secret_is_in_the_state(script: Script, base: Base, tmp_path: Path) -> None:
    base.fill(range(3))
    script.run()
    with closing(sqlite3.connect(tmp_path / f"{script.origin}.state")) as state:
        kept = " ".join(state.iterdump())
    assert script.origin in kept
    assert script.core.admin_password not in kept
    assert "eyJ" not in kept


def test_a_target_that_is_no_core_parks_nothing(script: Script, base: Base, live_core: LiveCore) -> None:
    base.fill(range(3))
    ran = replace(script, target=f"{live_core.url}/elsewhere").run()
    assert ran.code == 7
    nobody = replace(script, origin="other", target=f"http://127.0.0.1:{free_port()}").run("--patience", "0.3")
    assert nobody.code == 6


def test_the_demos_base_a_is_found_in_graphql(
    live_core: LiveCore, live_gateway: Live, tmp_path: Path, origin: str
) -> None:
    build_base_a(tmp_path / "base_a.db", 7, datetime(2026, 11, 1, tzinfo=UTC))
    script = Script(live_core, tmp_path, f"sqlite:///{tmp_path}/base_a.db", origin)
    assert "1,000 created" in script.run().told
    query = "query($o: String!) { getArticles(where: {origin: {eq: $o}}) { success articles { origin externalId } } }"
    headers = {"Authorization": f"Bearer {live_core.log_in('admin', live_core.admin_password)}"}
    body = {"query": query, "variables": {"o": origin}}
    status, text, _ = call("POST", f"{live_gateway.url}/graphql", body, headers)
    found = json.loads(text)["data"]["getArticles"]
    assert (status, found["success"], len(found["articles"])) == (200, True, 20)
    assert {each["origin"] for each in found["articles"]} == {origin}


def test_the_origin_is_the_databases_name_unless_it_is_said(script: Script, base: Base) -> None:
    base.fill(range(3))
    arguments = ["--target", script.core.url, "--state", str(script.folder / "s.db"), "--source", base.url]
    ran = CliRunner().invoke(sync_script.main, arguments, env=script.environment)
    assert ran.exit_code == 0
    assert_in_step(script, base)


def test_a_run_and_a_comparison_leave_metrics(script: Script, base: Base, tmp_path: Path) -> None:
    base.fill(range(12))
    base.execute("update articles set title = '' where id = 3")
    metrics, origin, route = tmp_path / "sync.prom", f'origin="{script.origin}"', 'route="script"'
    script.run("--metrics-file", str(metrics))
    told = metrics.read_text()
    assert f'lakeport_sync_rows_total{{operation="upsert",{origin},outcome="created",{route}}} 11.0' in told
    assert f"lakeport_sync_parked_rows{{{origin},{route}}} 1.0" in told
    assert f'lakeport_sync_watermark_timestamp_seconds{{{origin},{route},stream="articles"}} 1.' in told
    script.run("--verify", "--metrics-file", str(metrics))
    assert f'lakeport_sync_differences{{kind="missing",{origin},{route}}} 1.0' in metrics.read_text()
