"""What belongs to the running request: its database session, its reader, and what the audit shall know of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import current_app, g
from sqlalchemy.orm import Session

from rest_api.auth import Principal, Rule, changes_nothing, current_principal
from rest_api.database import READ_ONLY
from rest_api.services.rights import Reader


def session() -> Session:
    """The session whose one transaction the door commits or rolls back; of a safe request it only reads."""
    scoped: Session = current_app.extensions["sqlalchemy"].session()
    if changes_nothing() and not scoped.in_transaction():
        scoped.connection(execution_options=READ_ONLY)
    return scoped


@contextmanager
def reading() -> Iterator[Session]:
    """A session beside the request's own, to look things up without taking SQLite's write lock."""
    engine = current_app.extensions["lakeport"].door.engine
    with engine.connect().execution_options(**READ_ONLY) as connection, Session(connection) as found:
        yield found


def reader() -> Reader:
    """Whose rights on data count in the running request."""
    return reader_of(current_principal())


def reader_of(principal: Principal) -> Reader:
    """Whose rights on data a principal has."""
    return Reader(principal.username, principal.groups, principal.may(Rule.ADMIN))


def recorded(**facts: Any) -> None:
    """Add facts to the request's audit entry: dataset, columns, rows, username, secrets."""
    g.record.update(facts)
