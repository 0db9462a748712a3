"""Whose grants hold now."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from rest_api.database import utc_now
from rest_api.lake.grants import MANAGE, Grant
from rest_api.models.grant import GrantRecord

OF_ADMINISTRATORS = Grant(None, "admin", frozenset({MANAGE}), path="/")


@dataclass(frozen=True)
class Reader:
    """Whose rights count: a user, with the groups he is in at this moment."""

    username: str
    groups: tuple[str, ...]
    is_admin: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The principals whose grants are his."""
        return (self.username, *self.groups)


def grants_of(session: Session, reader: Reader) -> tuple[Grant, ...]:
    """All grants that hold for somebody at this moment, in the order in which they were given."""
    live = or_(GrantRecord.expires_at.is_(None), GrantRecord.expires_at > utc_now())
    table = GrantRecord.__table__
    statement = select(table).where(GrantRecord.principal.in_(reader.names), live).order_by(GrantRecord.id)
    given = tuple(as_grant(row) for row in session.execute(statement))
    return (OF_ADMINISTRATORS, *given) if reader.is_admin else given


def as_grant(row: Any) -> Grant:
    """A stored grant as a value."""
    return Grant(
        id=row.id,
        principal=row.principal,
        privileges=frozenset(row.privileges),
        dataset=row.dataset,
        identity=row.identity,
        path=row.path,
        columns=None if row.columns is None else tuple(row.columns),
        filter=row.filter,
        masks=row.masks,
        expires_at=row.expires_at,
    )


def fingerprint(grants: Sequence[Grant]) -> str:
    """Changes whenever what the grants give does."""
    written = repr([(each.id, sorted(each.privileges), each.expires_at) for each in grants])
    return hashlib.blake2b(written.encode(), digest_size=8).hexdigest()
