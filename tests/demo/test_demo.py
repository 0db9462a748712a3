"""Demo data: the same from the same seed, whole or not there, with what later work looks for planted in it."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from click import ClickException
from deltalake import DeltaTable
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from rest_api.database import create_engine_for
from rest_api.demo.build import DemoFiles
from rest_api.demo.command import make_demo
from rest_api.demo.corruption import CORRUPT, corrupt
from rest_api.demo.people import add_people, is_peopled, make_logins
from rest_api.demo.plan import Plan
from rest_api.demo.prose import write_drafts
from rest_api.demo.purchases import Transaction
from rest_api.demo.randomness import stream
from rest_api.models import metadata
from rest_api.models.article import Article
from rest_api.models.event import Event
from rest_api.models.user import User
from rest_api.services import events
from rest_api.services.passwords import verify_password
from tests.conftest import settings_for

UNTIL = datetime(2026, 11, 25, 12, tzinfo=UTC)
PLAN = Plan(7, UNTIL)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    DemoFiles(folder, PLAN).build(lambda _: None)
    return folder


@pytest.fixture(scope="module")
def rows(built: Path) -> list[dict[str, Any]]:
    return list(DeltaTable(built / "lake" / "transactions").to_pyarrow_table().to_pylist())


def table(folder: Path, name: str) -> list[dict[str, Any]]:
    return list(DeltaTable(folder / "lake" / name).to_pyarrow_table().to_pylist())


def test_transactions_have_100_000_rows_each_once_up_to_now(rows: list[dict[str, Any]]) -> None:
    assert len({row["transaction_id"] for row in rows}) == len(rows) == 100_000
    assert UNTIL - timedelta(minutes=1) < max(row["timestamp"] for row in rows) < UNTIL
    recent = [row for row in rows if row["timestamp"] > UNTIL - timedelta(minutes=5)]
    assert len(recent) > 20


def test_the_table_has_a_history_whose_versions_can_be_read(built: Path) -> None:
    delta = DeltaTable(built / "lake" / "transactions")
    assert delta.version() == 7
    counts = []
    for version in range(8):
        delta.load_as_version(version)
        counts.append(delta.to_pyarrow_table(columns=["user_id"]).num_rows)
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (40_000, 100_000)
    times = [entry["timestamp"] for entry in delta.history()]
    assert times == sorted(set(times), reverse=True)
    assert times[0] / 1_000 <= UNTIL.timestamp()


def test_a_replayed_row_keeps_its_first_time(rows: list[dict[str, Any]]) -> None:
    replayed = [row for row in rows if row["replay_id"]]
    assert len(replayed) == 40
    assert all(row["original_timestamp"] < row["timestamp"] for row in replayed)
    assert len({row["replay_id"] for row in replayed}) == 1


def test_labels_name_rows_that_are_wrong_though_valid(built: Path, rows: list[dict[str, Any]]) -> None:
    by_id = {row["transaction_id"]: row for row in rows}
    labels = table(built, "transactions_labels")
    assert len({label["transaction_id"] for label in labels}) == 1_000
    assert len({label["corruption"] for label in labels}) == 5
    for label in labels:
        row = by_id[label["transaction_id"]]
        assert str(row[label["column_name"]]) != label["true_value"]
        assert row["amount"] > 0
        assert row["customer_rating"] in (None, 1, 2, 3, 4, 5)


def test_a_name_that_is_the_same_turned_round_is_no_corruption() -> None:
    row = Transaction("tx-1", UNTIL, 1, "Martin Martin", "purchase", "p-001", "Kettle", "kitchen",
                      Decimal("9.50"), "EUR", "paypal", "FR", "completed", 3)  # fmt: skip
    rows, labels = corrupt([replace(row, transaction_id=f"tx-{number}") for number in range(CORRUPT)], 7)
    assert {label.column_name for label in labels} == {"amount", "currency", "product_category"}
    assert all(
        str(getattr(row, label.column_name)) != label.true_value for row, label in zip(rows, labels, strict=True)
    )


def test_tastes_are_planted(rows: list[dict[str, Any]]) -> None:
    """A customer of a taste buys what pleases it far more often than chance would have it: one in eight."""
    pleasing = Counter(row["user_id"] % 8 == int(row["product_id"][2:]) % 8 for row in rows)
    assert pleasing[True] / len(rows) > 0.5


def test_the_quarantine_holds_events_with_reason_and_coordinates(built: Path) -> None:
    refused = table(built, "transactions_quarantine")
    assert len(refused) == 60
    assert len({row["reason"] for row in refused}) == 10
    assert len({(row["partition"], row["offset"]) for row in refused}) == 60


def test_folders_hold_csv_and_parquet(built: Path) -> None:
    reference = built / "lake" / "reference"
    stores = [pyarrow.csv.read_csv(path) for path in sorted((reference / "stores").glob("*.csv"))]
    assert len(stores) == 4
    assert len({tuple(store.column_names) for store in stores}) == 1
    rates = sorted((reference / "exchange_rates").glob("currency=*/rates.parquet"))
    assert pq.read_table(rates[0]).num_rows == 91


def test_the_same_seed_gives_the_same_rows(built: Path, tmp_path: Path) -> None:
    DemoFiles(tmp_path, PLAN).build(lambda _: None)
    one, two = (
        DeltaTable(folder / "lake" / "transactions").to_pyarrow_table().sort_by("transaction_id")
        for folder in (built, tmp_path)
    )
    assert one.equals(two)
    assert table(built, "transactions_labels") == table(tmp_path, "transactions_labels")
    assert table(built, "transactions_quarantine") == table(tmp_path, "transactions_quarantine")
    for name in ("stores/overseas.csv", "exchange_rates/currency=JPY/rates.parquet"):
        path = Path("lake") / "reference" / name
        assert (tmp_path / path).read_bytes() == (built / path).read_bytes()


def test_a_build_that_broke_off_goes_on_alike_and_leaves_nothing_half_made(tmp_path: Path) -> None:
    plan = Plan.kept_in(tmp_path, 7)
    files = DemoFiles(tmp_path, plan)

    def break_off(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.parts[2].make(break_off)
    assert [path.name for path in (tmp_path / "lake").iterdir()] == [".transactions_quarantine.part"]
    assert Plan.kept_in(tmp_path, 8) == plan
    files.parts[2].make(lambda _: None)
    assert [path.name for path in (tmp_path / "lake").iterdir()] == ["transactions_quarantine"]
    assert files.parts[2] not in files.missing()


def test_base_a_raises_its_row_version_with_every_change(built: Path) -> None:
    with closing(sqlite3.connect(built / "base_a.db")) as base:
        assert base.execute("select count(*) from articles").fetchone() == (1_000,)
        assert base.execute("select count(*) from article_tombstones").fetchone() == (12,)

        def newest() -> int:
            return int(base.execute("select value from row_versions where table_name = 'articles'").fetchone()[0])

        number = base.execute("select min(id) from articles").fetchone()[0]
        for statement, of in (
            ("update articles set title = 'new' where id = ?", "articles"),
            ("delete from articles where id = ?", "article_tombstones"),
        ):
            before = newest()
            base.execute(statement, (number,))
            found = base.execute(f"select row_version from {of} where id = ?", (number,)).fetchone()
            assert found == (newest(),) > (before,)
        base.rollback()


def test_base_a_lets_no_change_of_text_pass_by_unseen(built: Path) -> None:
    """Whoever sets row_version himself, even to the counter's value, gets a new one all the same."""
    counter = "(select value from row_versions where table_name = 'articles')"
    with closing(sqlite3.connect(built / "base_a.db")) as base:
        number = base.execute("select id from articles order by row_version limit 1").fetchone()[0]
        before = base.execute(f"select {counter}").fetchone()[0]
        base.execute(f"update articles set title = 'new', row_version = {counter} where id = ?", (number,))
        assert base.execute("select row_version from articles where id = ?", (number,)).fetchone() > (before,)
        base.rollback()


def test_tombstones_are_as_old_as_their_row_versions_say(built: Path) -> None:
    with closing(sqlite3.connect(built / "base_a.db")) as base:
        stamps = base.execute("select deleted_at from article_tombstones order by row_version").fetchall()
    assert stamps == sorted(stamps)


def test_no_two_drafts_have_the_same_title() -> None:
    drafts = write_drafts(stream(7, "drafts of base A"), 1_012)
    assert len({draft.title for draft in drafts}) == len({draft.content for draft in drafts}) == 1_012
    assert max(len(draft.title) for draft in drafts) <= 200


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    engine = create_engine_for(f"sqlite:///{tmp_path}/a.db")
    metadata.create_all(engine)
    with Session(engine, expire_on_commit=False) as session:
        events.install(session)
        yield session
    engine.dispose()


def test_people_have_passwords_articles_and_a_group(session: Session) -> None:
    assert not is_peopled(session)
    logins = make_logins()
    add_people(session, logins, 7, UNTIL)
    session.commit()
    assert is_peopled(session)
    assert session.scalar(select(func.count()).select_from(Article)) == 200
    assert session.scalar(select(func.count()).where(Event.type == "article.created")) == 200
    assert session.scalar(select(func.count(Article.author_id.distinct()))) == 3
    newest = session.scalars(select(Article).order_by(Article.created_at.desc())).first()
    assert newest is not None
    assert UNTIL - timedelta(days=2) < newest.created_at <= UNTIL
    ada = session.scalars(select(User).where(User.username == "ada")).one()
    assert verify_password(ada.password_hash, logins[0].password)
    assert len({login.password for login in logins}) == len(logins)
    assert not any("{" in text for text in session.scalars(select(Article.title + Article.content)))


def test_passwords_are_shown_once_and_a_second_run_changes_nothing(
    built: Path, session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_for(built)
    make_demo(settings, session, 7)
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in shown] == [
        ["editor:", "ada"],
        ["editor:", "grace"],
        ["editor:", "alan"],
        ["reader:", "rosa"],
        ["reader:", "linus"],
        ["reader:", "shops"],
    ]
    before = session.scalar(select(func.max(Event.sequence)))
    make_demo(settings, session, 8)
    assert capsys.readouterr().out == ""
    assert session.scalar(select(func.max(Event.sequence))) == before


def test_a_database_without_tables_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    engine = create_engine_for(f"sqlite:///{tmp_path}/empty.db")
    with Session(engine) as session, pytest.raises(ClickException, match="run migrate"):
        make_demo(settings_for(tmp_path / "var"), session, 7)
    engine.dispose()
    assert not (tmp_path / "var").exists()
