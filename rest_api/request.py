"""What belongs to the running request: its database session, and what the audit shall know of it."""

from typing import Any

from flask import current_app, g, request
from sqlalchemy.orm import Session

from rest_api.database import READ_ONLY

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def session() -> Session:
    """The session whose one transaction the door commits or rolls back; of a safe request it only reads."""
    scoped: Session = current_app.extensions["sqlalchemy"].session()
    if request.method in SAFE_METHODS and not scoped.in_transaction():
        scoped.connection(execution_options=READ_ONLY)
    return scoped


def recorded(**facts: Any) -> None:
    """Add facts to the request's audit entry: dataset, columns, rows, username, secrets."""
    g.record.update(facts)
