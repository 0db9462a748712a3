"""Whose grants hold now."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Dialect, String, bindparam, or_, select
from sqlalchemy.orm import Session

from rest_api.database import utc_now
from rest_api.lake.grants import MANAGE, Grant
from rest_api.models.base import UtcDateTime
from rest_api.models.grant import GrantRecord
from rest_api.models.group import Group, Membership
from rest_api.models.user import User
from rest_api.statements import Statement, rows_on

_COLUMNS = tuple(GrantRecord.__table__.columns.keys())
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


def reader_of_user(session: Session, user_id: int) -> Reader | None:
    """Whose rights count in what is done for a user later; None for one who may not call any more."""
    user = session.scalar(select(User).where(User.id == user_id, User.disabled_at.is_(None)))
    if user is None:
        return None
    groups = session.scalars(select(Group.name).join(Membership).where(Membership.user_id == user_id))
    return Reader(user.username, tuple(sorted(groups)), user.role == "admin")


def grants_of(session: Session, reader: Reader) -> tuple[Grant, ...]:
    """All grants that hold for somebody at this moment, in the order in which they were given."""
    connection = session.connection()
    names = {f"name{place}": name for place, name in enumerate(reader.names)}
    statement = _statement(connection.dialect, len(names))
    rows = rows_on(connection, statement, {**names, "now": utc_now()})
    given = tuple(as_grant(SimpleNamespace(**dict(zip(_COLUMNS, row, strict=True)))) for row in rows)
    return (OF_ADMINISTRATORS, *given) if reader.is_admin else given


@lru_cache(maxsize=256)
def _statement(dialect: Dialect, names: int) -> Statement:
    """The grants of so many principals that hold at a moment."""
    principals = [bindparam(f"name{place}", type_=String) for place in range(names)]
    live = or_(GrantRecord.expires_at.is_(None), GrantRecord.expires_at > bindparam("now", type_=UtcDateTime))
    table = GrantRecord.__table__
    chosen = select(table).where(or_(*(table.c.principal == name for name in principals)), live).order_by(table.c.id)
    return Statement.compiled(chosen, dialect)


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


def policy_of(role: str, grants: Sequence[Grant]) -> str:
    """The fingerprint of what a role and grants give: equal for all who have equal rights, else another one."""
    written = json.dumps([role, sorted({_content(each) for each in grants})])
    return hashlib.blake2b(written.encode(), digest_size=16).hexdigest()


def _content(grant: Grant) -> str:
    """What a grant gives, and for how long; not whom, nor under which number."""
    return json.dumps(
        [
            sorted(grant.privileges),
            [grant.dataset, grant.identity, grant.path],
            None if grant.columns is None else sorted(grant.columns),
            grant.filter,
            sorted(grant.masks.items()),
            None if grant.expires_at is None else grant.expires_at.isoformat(),
        ]
    )
