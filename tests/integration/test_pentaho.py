"""The Pentaho job on a runner of its step types: what is in base A is in base B, whatever happens in between."""

import json
import os
import random
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.integration import faulty_proxy as proxies
from tests.integration.bases import Base, postgresql_base, sqlite_base, synced, times_created
from tests.integration.faulty_proxy import faulty_proxy
from tests.integration.pentaho.route import FILES, Pentaho
from tests.integration.pentaho.web_steps import Rest
from tests.live import LiveCore
from tests.servers import free_port

RouteOn = Callable[[Base], Pentaho]
SMALL = {"BATCH_SIZE": "20", "PASS_ROWS": "100", "RETRY_SECONDS": "0", "LATER_RETRY_SECONDS": "0"}
"""Neither divides the counts of rows below: the last batch of a pass and the last pass are cut short."""
ROWS = range(1, 136)
KILLS = range(12 if os.environ.get("LAKEPORT_FULL") == "1" else 2)
OLD = "update articles set updated_at = datetime('2026-01-01', '+' || id || ' minutes')"
"""Older than the overlap, which would bring back what a watermark that moved too soon had lost."""
MOST_RUNS = 12


@pytest.fixture(params=["sqlite", "postgresql"])
def any_base(request: pytest.FixtureRequest, tmp_path: Path, origin: str) -> Iterator[Base]:
    """A base A of each kind for which the route has a properties file."""
    if request.param == "sqlite":
        with sqlite_base(tmp_path, origin) as found:
            yield found
    else:
        with postgresql_base(request.getfixturevalue("postgresql_url")) as found:
            yield found


@pytest.fixture
def route_on(live_core: LiveCore, tmp_path: Path, origin: str) -> RouteOn:
    """The job between a base and the core, with small batches and passes."""
    return lambda base: Pentaho(live_core, tmp_path, base, origin, more=SMALL)


@pytest.fixture
def route(route_on: RouteOn, base: Base) -> Pentaho:
    """The job between the base on SQLite and the core."""
    return route_on(base)


def assert_in_step(route: Pentaho) -> None:
    """Base B has just the rows of base A."""
    assert synced(route.core, route.origin) == route.base.rows()


def assert_nothing_doubled(route: Pentaho) -> None:
    """No key was created twice."""
    assert set(times_created(route.core, route.origin).values()) == {1}


def watermark(route: Pentaho) -> str | None:
    """What the job has saved."""
    found = _rows(route.base, f"select changed_at from lakeport_pentaho_watermarks where origin = '{route.origin}'")
    return found[0][0] if found else None


def parked(route: Pentaho) -> dict[str, str]:
    """Reasons of the parked keys."""
    return dict(
        _rows(route.base, f"select external_id, code from lakeport_pentaho_parked where origin = '{route.origin}'")
    )


def _rows(base: Base, query: str) -> list[Any]:
    with base.engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def run_until_done(route: Pentaho) -> int:
    """Start it again and again as a scheduler does; gives how often."""
    for number in range(1, MOST_RUNS + 1):
        if route.run().code == 0:
            return number
    raise AssertionError("the job does not come to an end")


@pytest.mark.scenario("insert", "pentaho")
@pytest.mark.scenario("many_pages", "pentaho")
@pytest.mark.scenario("unchanged", "pentaho")
def test_a_first_run_brings_everything_and_a_second_changes_nothing(route_on: RouteOn, any_base: Base) -> None:
    route = route_on(any_base)
    any_base.fill(ROWS)
    first = route.run()
    assert first.code == 0, first.told
    assert_in_step(route)
    token = route.core.log_in("admin", route.core.admin_password)
    before = route.core.call("GET", f"/articles?origin=eq.{route.origin}&limit=100", token=token)
    assert route.run().code == 0
    assert route.core.call("GET", f"/articles?origin=eq.{route.origin}&limit=100", token=token) == before
    assert_nothing_doubled(route)


@pytest.mark.scenario("update", "pentaho")
@pytest.mark.scenario("delete", "pentaho")
@pytest.mark.scenario("delete_and_recreate", "pentaho")
@pytest.mark.scenario("update_then_delete", "pentaho")
def test_changes_deletes_and_keys_created_again_arrive(route_on: RouteOn, any_base: Base) -> None:
    route = route_on(any_base)
    any_base.fill(range(20))
    route.run()
    any_base.execute("update articles set content = 'second' where id in (3, 4)")
    any_base.execute("delete from articles where id in (4, 5, 6)")
    any_base.fill(range(6, 7), "again")
    any_base.fill(range(30, 31))
    assert route.run().code == 0
    assert_in_step(route)
    assert synced(route.core, route.origin)["6"] == ("Title 6", "again é 6")


@pytest.mark.scenario("equal_timestamps", "pentaho")
def test_rows_of_the_same_time_are_all_read(route_on: RouteOn, any_base: Base) -> None:
    route = route_on(any_base)
    rows = [{"id": n} for n in ROWS]
    any_base.execute(
        "insert into articles (id, title, content, updated_at) values (:id, 'T', 'c', '2026-05-05 05:05:05.5')", *rows
    )
    assert route.run().code == 0
    assert_in_step(route)


@pytest.mark.scenario("late_commit", "pentaho")
@pytest.mark.scenario("late_beyond_overlap", "pentaho")
@pytest.mark.scenario("clock_skew", "pentaho")
def test_what_commits_late_or_by_a_slow_clock_within_the_overlap_arrives(route_on: RouteOn, any_base: Base) -> None:
    route = route_on(any_base)
    any_base.fill(range(5))
    route.run()
    stamp = "datetime('now', '-200 seconds')" if "sqlite" in any_base.url else "now() - interval '200 seconds'"
    any_base.execute(f"insert into articles (id, title, content, updated_at) values (77, 'late', 'c', {stamp})")
    without = replace(route, more={**SMALL, "OVERLAP_SECONDS": "0"})
    assert without.run().code == 0
    assert "77" not in synced(route.core, route.origin)
    assert route.run().code == 0
    assert_in_step(route)


@pytest.mark.scenario("older_after_newer", "pentaho")
@pytest.mark.scenario("out_of_order", "pentaho")
def test_what_the_core_has_newer_stays(route: Pentaho) -> None:
    route.base.fill(range(3))
    token = route.core.log_in("admin", route.core.admin_password)
    newer = {"op": "upsert", "origin": route.origin, "external_id": "1", "external_version": 10**9, "title": "Newer"}
    route.core.call("POST", "/articles/batch", {"operations": [{**newer, "content": "by another route"}]}, token)
    assert route.run().code == 0
    assert synced(route.core, route.origin) == {**route.base.rows(), "1": ("Newer", "by another route")}


@pytest.mark.scenario("local_edit", "pentaho")
def test_a_local_edit_is_overwritten_by_the_next_change_of_the_source(route: Pentaho) -> None:
    route.base.fill(range(3))
    route.run()
    token = route.core.log_in("admin", route.core.admin_password)
    path = f"/articles?origin=eq.{route.origin}&external_id=eq.1"
    number = route.core.call("GET", path, token=token)[1]["data"][0]["id"]
    route.core.call("PATCH", f"/articles/{number}", {"content": "edited here"}, token)
    route.base.execute("update articles set content = 'changed there' where id = 1")
    route.run()
    assert_in_step(route)


@pytest.mark.scenario("other_origin", "pentaho")
def test_two_sources_with_the_same_ids_stay_apart(route: Pentaho, tmp_path: Path) -> None:
    with sqlite_base(tmp_path, f"{route.origin}_2") as second:
        other = replace(route, base=second, origin=f"{route.origin}_2")
        route.base.fill(range(3))
        second.fill(range(2), "other")
        assert (route.run().code, other.run().code) == (0, 0)
        assert_in_step(route)
        assert_in_step(other)


@pytest.mark.scenario("refused_row", "pentaho")
@pytest.mark.scenario("poison_among_good", "pentaho")
@pytest.mark.scenario("mended_row", "pentaho")
def test_rows_that_the_core_refuses_are_parked_and_the_others_go_on(route_on: RouteOn, any_base: Base) -> None:
    route = route_on(any_base)
    any_base.fill(ROWS)
    any_base.execute("update articles set title = '' where id in (7, 100)")
    ran = route.run()
    assert (ran.code, f"2 rows of {route.origin} are parked" in ran.told) == (1, True), ran.told
    assert parked(route) == {"7": "invalid", "100": "invalid"}
    assert synced(route.core, route.origin).keys() == any_base.rows().keys() - {"7", "100"}
    assert route.run().code == 1
    any_base.execute("update articles set title = 'mended', content = 'c' where id = 7")
    any_base.execute("delete from articles where id = 100")
    assert route.run().code == 0
    assert parked(route) == {}
    assert_in_step(route)


@pytest.mark.scenario("five_megabytes", "pentaho")
def test_a_row_that_no_request_takes_is_parked_unsent(route: Pentaho) -> None:
    route.base.fill(range(3))
    route.base.execute("update articles set content = :c where id = 1", {"c": "5" * 5_000_000})
    ran = route.run()
    assert (ran.code, parked(route)) == (1, {"1": "too_large"}), ran.told
    assert synced(route.core, route.origin).keys() == {"0", "2"}


def test_a_batch_without_an_answer_is_sent_again_row_by_row(route: Pentaho) -> None:
    route.base.fill(range(30))
    with faulty_proxy(route.core.url, 0, 0, outage=range(2, 3)) as proxy:
        ran = replace(route, target=proxy.url).run()
    assert (ran.code, ran.pauses, "sent row by row" in ran.told) == (0, (), True), ran.told
    assert proxy.made == {"none": 1 + 1 + 10, "lost": 1}
    assert_in_step(route)
    assert_nothing_doubled(route)


@pytest.mark.scenario("strange_text", "pentaho")
def test_strange_texts_arrive_as_they_are(route: Pentaho) -> None:
    texts = [
        "“ \" ' \\ / </script>",
        "${HOME} ${LAKEPORT_PASSWORD} $1",
        "\t\n\r\u2028",
        "🦆 é ｆｕｌｌ",
        "[{}]",
        "null",
    ]
    rows = [{"id": n, "title": f"T {n}", "content": each} for n, each in enumerate(texts)]
    route.base.execute("insert into articles (id, title, content) values (:id, :title, :content)", *rows)
    assert route.run().code == 0
    assert_in_step(route)
    route.base.execute("insert into articles (id, title, content) values (98, 'T', ''), (99, 'T', 'a' || char(0))")
    route.base.execute("delete from articles where id = 0")
    ran = route.run()
    assert (ran.code, parked(route)) == (1, {"99": "invalid"}), ran.told
    assert synced(route.core, route.origin).keys() == route.base.rows().keys() - {"99"}


@pytest.mark.scenario("empty_source", "pentaho")
def test_an_empty_source_is_in_step(route_on: RouteOn, any_base: Base) -> None:
    route = route_on(any_base)
    assert route.run().code == 0
    assert synced(route.core, route.origin) == {}
    any_base.fill(range(2))
    assert route.run().code == 0
    assert_in_step(route)


@pytest.mark.scenario("mass_delete", "pentaho")
def test_a_source_that_is_emptied_empties_its_articles_by_tombstones(route: Pentaho) -> None:
    route.base.fill(ROWS)
    route.run()
    route.base.execute("delete from articles")
    assert route.run().code == 0
    assert synced(route.core, route.origin) == {}


@pytest.mark.scenario("new_column", "pentaho")
@pytest.mark.scenario("schema_change", "pentaho")
def test_a_column_that_comes_is_not_seen_and_one_that_goes_stops_the_run(route: Pentaho) -> None:
    route.base.fill(range(3))
    route.base.execute("alter table articles add column colour text")
    assert route.run().code == 0
    before = watermark(route)
    route.base.execute("drop trigger articles_updated")
    route.base.execute("alter table articles rename column content to body")
    ran = route.run()
    assert (ran.code, "base A cannot be read" in ran.told) == (1, True)
    assert watermark(route) == before


@pytest.mark.scenario("other_names", "pentaho")
def test_other_tables_and_names_are_a_properties_file_of_ones_own(route: Pentaho, tmp_path: Path) -> None:
    folder = tmp_path / "pentaho"
    shutil.copytree(FILES, folder)
    known = (folder / "sqlite.properties").read_text()
    own = known.replace(
        "title, content, updated_at as changed_at from articles",
        "head as title, body as content, at as changed_at from notes",
    )
    assert own != known
    (folder / "own.properties").write_text(own.replace("row_version", "rev", 1))
    route.base.execute("create table notes (id integer primary key, head text, body text, at text, rev integer)")
    route.base.execute("insert into notes values (1, 'Head', 'Body', '2026-01-01 10:00:00', 3)")
    assert replace(route, job=folder / "articles_sync.kjb", more={**SMALL, "BASE_A_TYPE": "own"}).run().code == 0
    assert synced(route.core, route.origin) == {"1": ("Head", "Body")}


@pytest.mark.scenario("core_fails", "pentaho")
@pytest.mark.scenario("core_cut", "pentaho")
@pytest.mark.scenario("core_doubled", "pentaho")
@pytest.mark.scenario("delivered_twice", "pentaho")
@pytest.mark.parametrize("seed", range(2))
def test_answers_of_5xx_cut_or_doubled_change_nothing_in_the_end(route: Pentaho, seed: int) -> None:
    route.base.fill(ROWS)
    route.base.execute(OLD)
    with faulty_proxy(route.core.url, 0.3, seed) as proxy:
        run_until_done(replace(route, target=proxy.url, seed=seed))
    assert proxy.made.total() > proxy.made["none"]
    assert_in_step(route)
    assert_nothing_doubled(route)


@pytest.mark.scenario("core_busy", "pentaho")
def test_a_busy_core_is_asked_again_after_a_pause(route: Pentaho, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "FAULTS", ("overloaded",))
    route.base.fill(ROWS)
    moved = replace(route, more={**SMALL, "RETRY_SECONDS": "7", "LATER_RETRY_SECONDS": "70"})
    with faulty_proxy(route.core.url, 0.3, 1) as proxy:
        moved = replace(moved, target=proxy.url)
        first = moved.run()
        run_until_done(moved)
    assert "the core is busy or in trouble: status = 503" in first.told
    assert first.pauses
    assert set(first.pauses) <= {7.0, 70.0}
    assert_in_step(route)
    assert_nothing_doubled(route)


@pytest.mark.scenario("core_down_at_start", "pentaho")
@pytest.mark.scenario("core_down_midway", "pentaho")
@pytest.mark.parametrize("calls", [range(2), range(3, 5)], ids=["at the start", "in the middle"])
def test_a_core_that_is_away_for_less_than_three_attempts_is_waited_for(route: Pentaho, calls: range) -> None:
    route.base.fill(ROWS)
    with faulty_proxy(route.core.url, 0, 0, outage=calls) as proxy:
        ran = replace(route, target=proxy.url).run()
    assert (ran.code, proxy.made["lost"]) == (0, 2), ran.told
    assert "the core cannot be reached" in ran.told
    assert_in_step(route)
    assert_nothing_doubled(route)


def test_a_core_that_stays_away_leaves_the_watermark_and_the_next_run_goes_on(route: Pentaho) -> None:
    route.base.fill(ROWS)
    route.base.execute(OLD)
    with faulty_proxy(route.core.url, 0, 0, outage=range(8, 10**6)) as proxy:
        moved = replace(route, target=proxy.url)
        away = moved.run()
        assert (away.code, "three attempts failed" in away.told, len(away.pauses)) == (1, True, 2), away.told
        assert watermark(route) == "2026-01-01 01:40:00"  # the first pass, and not one row of the second
        assert len(synced(route.core, route.origin)) > 100
        proxy.outage = range(0)
        assert moved.run().code == 0
    assert_in_step(route)
    assert_nothing_doubled(route)


@pytest.mark.scenario("wrong_password", "pentaho")
def test_a_wrong_password_is_not_tried_again(route: Pentaho) -> None:
    route.base.fill(range(3))
    ran = replace(route, password='wr"ong\\').run()
    assert (ran.code, ran.pauses) == (1, ())
    assert "the core refuses with status 401" in ran.told
    assert 'wr"ong' not in ran.told
    assert watermark(route) is None


@pytest.mark.scenario("role_too_low", "pentaho")
def test_a_reader_is_refused_and_an_editor_with_a_strange_password_is_not(route: Pentaho) -> None:
    route.base.fill(range(3))
    low = _as_user(route, "reader", "r eader 12345678").run()
    assert (low.code, "the core refuses with status 403" in low.told, low.pauses) == (1, True, ())
    assert (watermark(route), synced(route.core, route.origin)) == (None, {})
    assert _as_user(route, "editor", 'e"d\\it/or é {}]$1').run().code == 0
    assert_in_step(route)


def _as_user(route: Pentaho, role: str, password: str) -> Pentaho:
    name = f"{role}_{route.origin}"
    user = {"username": name, "password": password, "role": role}
    status, _ = route.core.call("POST", "/users", user, route.core.log_in("admin", route.core.admin_password))
    assert status == 201
    return replace(route, username=name, password=password)


@pytest.mark.scenario("token_ends", "pentaho")
def test_a_token_that_ends_in_the_middle_is_replaced(route: Pentaho, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    call = Rest._call

    def ending(step: Rest, body: str, headers: dict[str, Any]) -> tuple[int, str]:
        calls.append(step.node.name)
        if len(calls) == 3:
            route.core.call("POST", "/auth/revoke", token=headers["Authorization"].removeprefix("Bearer "))
        return call(step, body, headers)

    monkeypatch.setattr(Rest, "_call", ending)
    route.base.fill(ROWS)
    ran = route.run()
    assert (ran.code, "status = 401" in ran.told) == (0, True), ran.told
    assert_in_step(route)


@pytest.mark.scenario("wrong_schema", "pentaho")
@pytest.mark.scenario("not_json", "pentaho")
@pytest.mark.parametrize("answer", ["{}", '{"data": [{"index": 0, "outcome": "created"}], "errors": []}', "<html>", ""])
def test_an_answer_that_does_not_name_every_row_confirms_nothing(
    route: Pentaho, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    call = Rest._call

    def answering(step: Rest, body: str, headers: dict[str, Any]) -> tuple[int, str]:
        return (200, answer) if "Authorization" in headers else call(step, body, headers)

    route.base.fill(range(3))
    with monkeypatch.context() as patched:
        patched.setattr(Rest, "_call", answering)
        assert route.run().code == 1
    assert (watermark(route), synced(route.core, route.origin)) == (None, {})
    assert route.run().code == 0
    assert_in_step(route)


@pytest.mark.scenario("source_down_at_start", "pentaho")
def test_a_base_a_that_is_away_is_said(route: Pentaho) -> None:
    away = {"BASE_A_TYPE": "postgresql", "BASE_A_URL": f"jdbc:postgresql://127.0.0.1:{free_port()}/a"}
    ran = replace(route, more={**SMALL, **away}).run()
    assert (ran.code, "base A cannot be read or written" in ran.told) == (1, True)


@pytest.mark.scenario("source_down_midway", "pentaho")
def test_a_base_a_that_goes_away_in_the_middle_is_read_on_when_it_is_back(
    route: Pentaho, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, away = tmp_path / f"{route.origin}.db", tmp_path / "away.db"
    batches = count(1)
    call = Rest._call

    def taking_base_a_away(step: Rest, body: str, headers: dict[str, Any]) -> tuple[int, str]:
        if "Authorization" in headers and next(batches) == 2:
            path.rename(away)
        return call(step, body, headers)

    route.base.fill(ROWS)
    route.base.execute(OLD)
    route.base.engine.dispose()
    with monkeypatch.context() as patched:
        patched.setattr(Rest, "_call", taking_base_a_away)
        ran = route.run()
    assert (ran.code, "base A cannot be read or written" in ran.told) == (1, True), ran.told
    away.replace(path)
    assert watermark(route) is None
    assert len(synced(route.core, route.origin)) == 100
    assert route.run().code == 0
    assert_in_step(route)
    assert_nothing_doubled(route)


@pytest.mark.parametrize(
    "wrong",
    [
        {"BATCH_SIZE": "0"},
        {"BATCH_SIZE": "1001"},
        {"PASS_ROWS": "all"},
        {"RETRY_SECONDS": "soon"},
        {"BASE_A_TYPE": "oracle"},
    ],
)
def test_wrong_parameters_are_said_before_anything_is_read(route: Pentaho, wrong: dict[str, str]) -> None:
    ran = replace(route, more={**SMALL, **wrong}).run()
    assert (ran.code, "a number among the parameters or BASE_A_TYPE is wrong" in ran.told) == (1, True)
    assert not _rows(route.base, "select 1 from sqlite_master where name = 'lakeport_pentaho_watermarks'")


@pytest.mark.scenario("killed", "pentaho")
@pytest.mark.scenario("terminated", "pentaho")
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("seed", KILLS)
def test_a_run_killed_at_random_moments_loses_and_doubles_nothing(
    route: Pentaho, way: signal.Signals, seed: int
) -> None:
    route.base.fill(ROWS)
    route.base.execute("update articles set title = '' where id = 90")
    route.base.execute(OLD)
    process = route.started()
    assert process.stdout is not None
    for _ in range(random.Random(f"{way}{seed}").randint(5, 18)):  # of the 28 lines of a whole run
        process.stdout.readline()
    process.send_signal(way)
    process.communicate(timeout=60)
    assert process.returncode == -way
    route.base.execute("update articles set content = 'meanwhile' where id in (30, 130)")
    assert route.run().code == 1
    assert synced(route.core, route.origin).keys() == route.base.rows().keys() - {"90"}
    route.base.execute("update articles set title = 'mended' where id = 90")
    assert route.run().code == 0
    assert_in_step(route)
    assert_nothing_doubled(route)


@pytest.mark.scenario("two_copies", "pentaho")
def test_two_copies_at_once_do_the_work_twice_and_nothing_wrong(route: Pentaho) -> None:
    route.base.fill(ROWS)
    copies = [route.started() for _ in range(2)]
    told = [copy.communicate(timeout=120)[0] for copy in copies]
    assert [copy.returncode for copy in copies] == [0, 0], told
    assert_in_step(route)
    assert_nothing_doubled(route)


def test_no_secret_is_in_the_files_the_log_or_base_a(route: Pentaho, tmp_path: Path) -> None:
    route.base.fill(range(30))
    route.base.execute("update articles set title = '' where id = 5")
    ran = route.run()
    with faulty_proxy(route.core.url, 1, 0) as proxy:
        failed = replace(route, target=proxy.url).run()
    with sqlite3.connect(tmp_path / f"{route.origin}.db") as connection:
        kept = "".join(connection.iterdump())
    written = "".join(path.read_text() for path in FILES.glob("*.[kp]*"))
    for text in (ran.told, failed.told, kept, written):
        assert route.core.admin_password not in text
        assert "eyJ" not in text
        assert "payload" not in text or text is written


def test_a_bad_row_is_logged_by_its_key_and_not_by_its_words(route: Pentaho) -> None:
    route.base.execute("insert into articles (id, title, content) values (1, '', 'private words')")
    told = route.run().told
    assert "row parked: external_id = 1" in told
    assert "private words" not in told
    assert json.dumps("private words") not in told
