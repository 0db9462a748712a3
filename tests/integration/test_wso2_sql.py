"""What the WSO2 route keeps in base A: batches as the core takes them, and a watermark that answers alone move."""

import json
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from integration.wso2.metrics import main
from integration.wso2.project import read_project
from tests.integration.bases import Base, postgresql_base, sqlite_base, synced
from tests.integration.synapse.running import ROUTE
from tests.live import LiveCore

VERSIONED = """
create table row_versions (value bigint not null);
insert into row_versions values (0);
alter table articles add row_version bigint not null default 0;
alter table article_tombstones add row_version bigint not null default 0;
create function counted() returns trigger language plpgsql as $$
begin update row_versions set value = value + 1 returning value into new.row_version; return new; end $$;
create trigger counted before insert or update on articles for each row execute function counted();
create trigger counted before insert or update on article_tombstones for each row execute function counted();
"""


@dataclass(frozen=True)
class Ledger:
    """A base A with what the route keeps there, and the statements that the project's data service has."""

    base: Base
    statements: dict[str, str]

    def run(self, name: str, **parameters: str) -> list[Any]:
        """Rows of a statement."""
        with self.base.engine.begin() as connection:
            result = connection.execute(text(self.statements[name]), parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

    def claim(self) -> str | None:
        """A batch, or nothing."""
        rows = self.run("claimBatch")
        return rows[0][0] if rows else None

    def one(self, query: str) -> Any:
        """A value."""
        with self.base.engine.connect() as connection:
            return connection.execute(text(query)).scalar()


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path, origin: str) -> Iterator[Ledger]:
    """One on each database."""
    script = (ROUTE / "base_a" / f"{request.param}.sql").read_text(encoding="utf-8")
    [service] = read_project(ROUTE).of("data")
    statements = {each.get("id", ""): each.findtext("sql", "") for each in service.root.findall("query")}
    if request.param == "sqlite":
        opened = sqlite_base(tmp_path, origin)
    else:
        opened = postgresql_base(request.getfixturevalue("postgresql_url"))
    with opened as base:
        keep_route(base, script)
        base.execute("insert into lakeport_route (id, origin) values (1, :origin)", {"origin": origin})
        yield Ledger(base, statements)


def keep_route(base: Base, script: str) -> None:
    """Give base A what the route keeps there."""
    if base.url.startswith("sqlite"):
        with closing(sqlite3.connect(base.url.removeprefix("sqlite:///"))) as connection:
            connection.executescript(script)
    else:
        with psycopg.connect(base.url) as connection:
            connection.execute((VERSIONED + script).encode())


def operations(batch: str | None) -> list[dict[str, Any]]:
    """What a batch asks for."""
    assert batch is not None
    found: list[dict[str, Any]] = json.loads(batch)["operations"]
    return found


def done(batch: str | None) -> str:
    """An answer by which all is done."""
    return json.dumps(
        {"data": [{"index": n, "outcome": "created"} for n in range(len(operations(batch)))], "errors": []}
    )


def test_the_core_takes_batches_and_what_it_answers_moves_the_watermark(
    ledger: Ledger, live_core: LiveCore, editor_token: str, origin: str
) -> None:
    ledger.base.fill(range(1, 6), 'odd \\ " \n \u2028 $1 <&> 👩‍👩‍👧')
    ledger.base.execute("insert into articles (id, title, content) values (6, '" + "x" * 201 + "', 'c')")
    ledger.base.execute("delete from articles where id = 2")
    batch = ledger.claim()
    status, answer = live_core.call("POST", "/articles/batch", (batch or "").encode(), editor_token)
    assert status == 200
    ledger.run("confirmBatch", sent=batch or "", answer=json.dumps(answer))
    rows = ledger.base.rows()
    assert synced(live_core, origin) == {key: rows[key] for key in ("1", "3", "4", "5")}
    assert ledger.one("select external_id from lakeport_parked where code = 'invalid'") == "6"
    assert ledger.claim() is None
    ledger.base.execute("update articles set title = 'mended' where id = 6")
    batch = ledger.claim()
    assert [each["title"] for each in operations(batch)] == ["mended"]
    ledger.run("confirmBatch", sent=batch or "", answer=done(batch))
    assert ledger.one("select count(*) from lakeport_parked") == 0


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "<html>",
        "null",
        "[]",
        "{}",
        '{"data": 5}',
        '{"data": [], "errors": []}',
        '{"data": [{"index": 0, "outcome": "created"}], "errors": []}',
        '{"data": [{"index": 0, "outcome": "created"}, {"index": 0, "outcome": "created"}], "errors": []}',
        '{"data": [{"index": 0, "outcome": "created"}, {"index": 2, "outcome": "created"}], "errors": []}',
        '{"data": [{"index": 0, "outcome": "created"}, {"index": 1, "outcome": "queued"}], "errors": []}',
        '{"data": [{"index": 0, "outcome": "created"}, {"index": 1}], "errors": []}',
        '{"data": [{"index": 0, "outcome": "created"}, {"index": 1, "outcome": "created"}',
    ],
)
def test_an_answer_that_does_not_speak_of_each_row_once_moves_nothing(ledger: Ledger, answer: str) -> None:
    ledger.base.fill(range(1, 3))
    batch = ledger.claim()
    with pytest.raises(DBAPIError):
        ledger.run("confirmBatch", sent=batch or "", answer=answer)
    assert ledger.one("select confirmed_version from lakeport_route") == 0
    assert ledger.one("select count(*) from lakeport_parked") == 0


def test_a_claim_keeps_others_away_until_it_is_answered_or_over(ledger: Ledger) -> None:
    assert ledger.claim() is None, "nothing is claimed where nothing waits"
    ledger.base.fill(range(1, 3))
    batch = ledger.claim()
    assert ledger.claim() is None
    ledger.base.execute("update lakeport_route set claimed_until = claimed_until - 91")
    assert ledger.claim() == batch
    ledger.run("confirmBatch", sent=batch or "", answer=done(batch))
    ledger.base.fill(range(3, 4))
    assert [each["external_id"] for each in operations(ledger.claim())] == ["3"]
    ledger.run("releaseClaim")
    assert ledger.claim() is None, "a released claim leaves the core some seconds"


def test_an_older_answer_that_comes_late_does_not_take_the_watermark_back(ledger: Ledger) -> None:
    ledger.base.fill(range(1, 3))
    old = ledger.claim()
    ledger.run("confirmBatch", sent=old or "", answer=done(old))
    ledger.base.fill(range(3, 5))
    new = ledger.claim()
    ledger.run("confirmBatch", sent=new or "", answer=done(new))
    watermark = ledger.one("select confirmed_version from lakeport_route")
    ledger.run("confirmBatch", sent=old or "", answer=done(old))
    assert ledger.one("select confirmed_version from lakeport_route") == watermark


def test_a_batch_that_is_refused_as_a_whole_is_halved_until_the_bad_row_is_alone(ledger: Ledger) -> None:
    ledger.base.fill(range(1, 21))
    carried: list[str] = []
    for _ in range(30):
        batch = ledger.claim()
        if batch is None:
            break
        keys = [each["external_id"] for each in operations(batch)]
        if "13" in keys:
            ledger.run("refuseBatch", sent=batch, status="400")
        else:
            carried += keys
            ledger.run("confirmBatch", sent=batch, answer=done(batch))
    assert sorted(carried, key=int) == [str(number) for number in range(1, 21) if number != 13]
    assert ledger.one("select detail from lakeport_parked where external_id = '13'") == "the core answered 400"


def test_no_row_and_no_batch_is_too_large(ledger: Ledger) -> None:
    rows = [{"id": n, "title": "t", "content": "é" * 150_000} for n in range(1, 31)]
    rows.append({"id": 31, "title": "t" * 5_000, "content": secrets.token_hex(3_000_000)})
    ledger.base.execute("insert into articles (id, title, content) values (:id, :title, :content)", *rows)
    seen = []
    while batch := ledger.claim():
        assert len(batch.encode()) < 5_000_000
        seen += operations(batch)
        ledger.run("confirmBatch", sent=batch, answer=done(batch))
    assert [each["external_id"] for each in seen] == [str(row["id"]) for row in rows]
    assert seen[0]["content"] == "é" * 150_000
    assert (len(seen[30]["title"]) > 200, 100_000 < len(seen[30]["content"]) < 300_000) == (True, True)


def test_park_keeps_one_letter_for_each_message(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.run("park", external_id="articles-sync/0/7", code="refused_400", detail="invalid")
    assert ledger.one("select count(*) from lakeport_parked") == 1


def test_the_metrics_tell_what_base_a_counted(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str
) -> None:
    ledger.base.fill(range(1, 5))
    batch = ledger.claim()
    answer = json.loads(done(batch))
    answer["errors"] = [{"index": answer["data"].pop()["index"], "code": "invalid", "detail": "title"}]
    ledger.run("confirmBatch", sent=batch or "", answer=json.dumps(answer))
    old = "insert into articles (id, title, content, updated_at) values (5, 't', 'c', '2020-01-01 00:00:00')"
    ledger.base.execute(old)
    monkeypatch.setenv("LAKEPORT_SOURCE", ledger.base.url)
    done_well = CliRunner().invoke(main, ["--metrics-file", str(tmp_path / "wso2.prom")])
    assert done_well.exit_code == 0, done_well.output
    told = (tmp_path / "wso2.prom").read_text()
    own = f'origin="{origin}",'
    assert f'lakeport_sync_rows_total{{operation="upsert",{own}outcome="created",route="wso2"}} 3.0' in told
    assert f'lakeport_sync_rows_total{{operation="upsert",{own}outcome="parked",route="wso2"}} 1.0' in told
    assert f'lakeport_sync_dead_letters_total{{{own}reason="invalid",route="wso2"}} 1.0' in told
    values = {line.split("{")[0]: float(line.split()[-1]) for line in told.splitlines() if not line.startswith("#")}
    assert values["lakeport_sync_parked_rows"] == 1
    assert values["lakeport_sync_lag_seconds"] > 365 * 86_400
    assert time.time() - 300 < values["lakeport_sync_last_success_timestamp_seconds"] <= time.time() + 1


def test_metrics_of_a_base_without_the_route_end_with_5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: Base
) -> None:
    monkeypatch.setenv("LAKEPORT_SOURCE", base.url)
    failed = CliRunner().invoke(main, ["--metrics-file", str(tmp_path / "wso2.prom")])
    assert failed.exit_code == 5
