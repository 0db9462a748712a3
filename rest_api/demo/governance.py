"""What people say of the demo's datasets, and who may see what of them."""

from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.orm import Session

from rest_api.backends.delta import DeltaTables
from rest_api.database import utc_now
from rest_api.demo.people import GROUP, SHOPS
from rest_api.lake.grants import EXPORT, READ, WRITE
from rest_api.lake.names import path_of
from rest_api.models.dataset import Dataset
from rest_api.models.grant import GrantRecord


@dataclass(frozen=True)
class Saying:
    """What is said of a dataset."""

    name: str
    description: str
    tags: list[str]
    key: list[str] = field(default_factory=list)
    time_column: str | None = None


SAYINGS = (
    Saying("transactions", "What was bought, by whom and for how much", ["sales"], ["transaction_id"], "timestamp"),
    Saying("transactions_labels", "Which transactions are corrupt, and how", ["quality"]),
    Saying("transactions_quarantine", "Events that failed validation, and why", ["quality"]),
    Saying("reference.stores", "Where there are shops", ["sales"]),
    Saying("reference.exchange_rates", "What a euro cost on each day", ["finance"]),
)


def govern(session: Session, lake_dir: Path) -> None:
    """Describe what is in the lake and give the demo's people grants; the caller commits."""
    tables, now = DeltaTables(), utc_now()
    for saying in SAYINGS:
        path = path_of(saying.name)
        table = tables.snapshot(saying.name, f"{lake_dir}{path}")
        identity = f"files:{path}" if table is None else table.identity
        session.merge(Dataset(identity=identity, owner="admin", updated_at=now, **vars(saying)))
    session.add_all(
        GrantRecord(created_by="admin", created_at=now, expires_at=None, **given)
        for given in (
            {
                "principal": GROUP,
                "path": "/transactions",
                "privileges": [READ, EXPORT],
                "columns": None,
                "filter": "status=neq.failed",
                "masks": {"user_name": "hash"},
            },
            {"principal": GROUP, "path": "/reference", "privileges": [READ], "masks": {}},
            {"principal": SHOPS, "path": "/transactions", "privileges": [WRITE], "masks": {}},
            {"principal": "linus", "path": "/reference/exchange_rates", "privileges": [READ], "masks": {}},
        )
    )
    session.flush()
