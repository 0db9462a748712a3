"""Users: names given once, roles, and always one administrator left."""

import re

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from rest_api.database import utc_now
from rest_api.errors import Conflict, FieldError, Forbidden, Invalid, NotFound
from rest_api.models.user import Name, User
from rest_api.services import events, tokens
from rest_api.services.passwords import hash_password, verify_password

NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9._-]{0,63}$"
RESERVED_NAMES = frozenset({"me"})


def claim_name(session: Session, name: str) -> None:
    """Take a name for good. Raises Invalid for an ill-formed one, Conflict when it was ever given before."""
    if not re.fullmatch(NAME_PATTERN, name) or name.lower() in RESERVED_NAMES:
        detail = "A name begins with a letter and has at most 64 letters, digits, dots, dashes or underscores"
        raise Invalid(detail, errors=[FieldError("name", detail)])
    if session.get(Name, name.lower()) is not None:
        raise Conflict(f"The name {name!r} was given before and is never given twice")
    session.add(Name(name=name.lower()))
    session.flush()


def create_user(session: Session, username: str, password_hash: str, role: str) -> User:
    """Create a user; the hash is made by the caller, before the transaction takes a lock."""
    claim_name(session, username)
    user = User(username=username, password_hash=password_hash, role=role, created_at=utc_now())
    session.add(user)
    session.flush()
    _tell(session, "user.created", user)
    return user


def find_user(session: Session, username: str) -> User:
    """The user of that name. Raises NotFound."""
    user = session.scalar(select(User).where(User.username == username))
    if user is None:
        raise NotFound("There is no such user")
    return user


def change_user(session: Session, username: str, *, role: str | None, disabled: bool | None) -> User:
    """Change a role, disable or enable. Raises Conflict where no administrator would be left."""
    user, other_admins = _locked_with_admins(session, username)
    loses_admin = user.role == "admin" and (disabled is True or role not in (None, "admin"))
    if loses_admin and user.disabled_at is None and not other_admins:
        raise Conflict("The last administrator cannot be demoted or disabled", code="last_administrator")
    if role is not None:
        user.role = role
    if disabled is not None:
        user.disabled_at = (user.disabled_at or utc_now()) if disabled else None
    if disabled:
        tokens.end_families(session, user.id)
    session.flush()
    _tell(session, "user.updated", user)
    return user


def change_password(session: Session, user_id: int, old: str, new: str, family_id: str) -> None:
    """Change one's own password and end one's other logins. Raises Forbidden when `old` is wrong."""
    user = session.get_one(User, user_id)
    known_hash = user.password_hash
    session.rollback()  # hashing takes long; no lock is held meanwhile
    if not verify_password(known_hash, old):
        raise Forbidden("The old password is wrong")
    new_hash = hash_password(new)
    user = session.get_one(User, user_id, with_for_update=True)
    if user.password_hash != known_hash:
        raise Conflict("The password was changed at the same moment")
    user.password_hash = new_hash
    tokens.end_families(session, user_id, but=family_id)
    session.flush()
    _tell(session, "user.password_changed", user)


def _locked_with_admins(session: Session, username: str) -> tuple[User, list[User]]:
    """A user and the other administrators, as they are and stay until the end of the transaction. Raises NotFound.

    They are locked together and in one order, so that administrators cannot demote each other at the same moment.
    """
    is_admin = (User.role == "admin") & User.disabled_at.is_(None)
    found = select(User).where(or_(User.username == username, is_admin)).order_by(User.id)
    rows = session.scalars(found.with_for_update(), execution_options={"populate_existing": True}).all()
    user = next((row for row in rows if row.username == username), None)
    if user is None:
        raise NotFound("There is no such user")
    return user, [row for row in rows if row is not user]


def count_users(session: Session) -> int:
    """How many users there are."""
    return session.scalar(select(func.count()).select_from(User)) or 0


def _tell(session: Session, event_type: str, user: User) -> None:
    data = {"id": user.id, "username": user.username, "role": user.role, "disabled": user.disabled_at is not None}
    events.record(session, type=event_type, subject=f"users/{user.id}", data=data, audience="admin")
