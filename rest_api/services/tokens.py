"""Tokens: families that begin with a login, rotate with each refresh and end by revocation or theft."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

from sqlalchemy import update
from sqlalchemy.orm import Session

from rest_api.database import utc_now
from rest_api.errors import Unauthenticated
from rest_api.models.token import RefreshToken, TokenFamily
from rest_api.models.user import User
from rest_api.services import events


class TokenReused(Unauthenticated):
    """A refresh token came twice: the family has ended, and that must stay although the call is refused."""

    keeps_changes = True


@dataclass(frozen=True)
class Issue:
    """What a new pair of tokens is made of."""

    user_id: int
    family_id: str
    refresh_jti: str


def begin_family(session: Session, user: User, lifetime: timedelta) -> Issue:
    """Begin a family for a user who has just shown his password."""
    now = utc_now()
    family = TokenFamily(id=uuid4().hex, user_id=user.id, created_at=now, expires_at=now + lifetime)
    session.add(family)
    session.flush()
    return _issue(session, family)


def rotate(session: Session, family_id: str, jti: str) -> Issue:
    """Use a refresh token up and issue its successor.

    Raises Unauthenticated for an unknown or ended family or a disabled user, TokenReused for a second use.
    """
    family = session.get(TokenFamily, family_id, with_for_update=True)
    if family is None or family.ended_at is not None or family.expires_at <= utc_now():
        raise Unauthenticated("The refresh token is not valid any more")
    user = session.get(User, family.user_id)
    if user is None or user.disabled_at is not None:
        raise Unauthenticated("The refresh token is not valid any more")
    unused = (RefreshToken.jti == jti, RefreshToken.family_id == family_id, RefreshToken.used_at.is_(None))
    spent = session.connection().execute(update(RefreshToken).where(*unused).values(used_at=utc_now()))
    if spent.rowcount == 0:
        end_family(session, family_id)
        events.record(
            session, type="token.reused", subject=f"users/{user.id}", data={"username": user.username}, audience="admin"
        )
        raise TokenReused("The refresh token was used before; log in again")
    return _issue(session, family)


def end_family(session: Session, family_id: str) -> None:
    """End a family; none of its tokens is valid from the next request on."""
    alive = (TokenFamily.id == family_id, TokenFamily.ended_at.is_(None))
    session.execute(update(TokenFamily).where(*alive).values(ended_at=utc_now()))


def end_families(session: Session, user_id: int, *, but: str | None = None) -> None:
    """End every family of a user, except one."""
    alive = (TokenFamily.user_id == user_id, TokenFamily.ended_at.is_(None), TokenFamily.id != (but or ""))
    session.execute(update(TokenFamily).where(*alive).values(ended_at=utc_now()))


def _issue(session: Session, family: TokenFamily) -> Issue:
    token = RefreshToken(jti=uuid4().hex, family_id=family.id)
    session.add(token)
    session.flush()
    return Issue(family.user_id, family.id, token.jti)
