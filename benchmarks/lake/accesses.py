"""Audit entries by the million: the page of a dataset's accesses must not get slower with them."""

from sqlalchemy import Engine, func, insert, literal, select, true

from benchmarks.lake.questions import Question
from rest_api.database import create_engine_for
from rest_api.models.audit import AuditRecord
from tests import live

FEW, MANY = 10_000, 1_000_000
CHAIN = "benchmark"
PAGE = Question("accesses", "the newest 20 accesses", "/data/datasets/transactions/accesses?limit=20")


def server(entries: int) -> str:
    """What the report calls a core with so many entries."""
    return f"Lakeport, {entries:,} entries"


def fill(served: live.LiveCore, entries: int) -> None:
    """Repeat the newest entry about `transactions` in the core's database; the chain of the copies proves nothing."""
    engine = create_engine_for(f"sqlite:///{served.data_dir / 'lakeport.db'}")
    try:
        _repeat_newest(engine, entries)
    finally:
        engine.dispose()


def _repeat_newest(engine: Engine, entries: int) -> None:
    table = AuditRecord.__table__
    about = select(func.max(table.c.id)).where(table.c.dataset == "transactions").scalar_subquery()
    numbers = select(literal(1).label("number")).cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.number + 1).where(numbers.c.number < entries))
    new = {"chain": literal(CHAIN), "sequence": numbers.c.number}
    names = [column.name for column in table.columns if column.name != "id"]
    pairs = table.join(numbers, true())
    copies = select(*(new.get(name, table.c[name]) for name in names)).select_from(pairs).where(table.c.id == about)
    with engine.begin() as connection:
        connection.execute(insert(AuditRecord).from_select(names, copies))
        made = connection.scalar(select(func.count()).where(table.c.chain == CHAIN))
    assert made == entries, "no call about `transactions` was recorded"
