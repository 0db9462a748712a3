"""Groups: they share the users' namespace, and a name is never given twice."""

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from rest_api.database import utc_now
from rest_api.errors import NotFound
from rest_api.models.group import Group, Membership
from rest_api.models.user import User
from rest_api.services import events
from rest_api.services.users import claim_name, find_user


def create_group(session: Session, name: str) -> Group:
    """Create an empty group. Raises Invalid, Conflict as for a user's name."""
    claim_name(session, name)
    group = Group(name=name, created_at=utc_now())
    session.add(group)
    session.flush()
    _tell(session, "group.created", group)
    return group


def find_group(session: Session, name: str) -> Group:
    """The group of that name. Raises NotFound."""
    group = session.scalar(select(Group).where(Group.name == name))
    if group is None:
        raise NotFound("There is no such group")
    return group


def delete_group(session: Session, name: str) -> None:
    """Delete a group; its name stays taken."""
    group = find_group(session, name)
    _tell(session, "group.deleted", group)
    session.execute(delete(Membership).where(Membership.group_id == group.id))
    session.delete(group)
    session.flush()


def add_member(session: Session, name: str, username: str) -> None:
    """Put a user into a group; again changes nothing."""
    group, user = find_group(session, name), find_user(session, username)
    if session.get(Membership, (group.id, user.id)) is not None:
        return
    session.add(Membership(group_id=group.id, user_id=user.id))
    session.flush()
    _tell(session, "group.member_added", group, username=username)


def remove_member(session: Session, name: str, username: str) -> None:
    """Take a user out of a group. Raises NotFound when he is not in it."""
    group, user = find_group(session, name), find_user(session, username)
    membership = session.get(Membership, (group.id, user.id))
    if membership is None:
        raise NotFound("The user is not in this group")
    session.delete(membership)
    session.flush()
    _tell(session, "group.member_removed", group, username=username)


def member_names(session: Session, group_ids: list[int]) -> dict[int, list[str]]:
    """The usernames of each group, in alphabetical order."""
    rows = session.execute(
        select(Membership.group_id, User.username)
        .join(User, User.id == Membership.user_id)
        .where(Membership.group_id.in_(group_ids))
        .order_by(User.username)
    )
    names: dict[int, list[str]] = {group_id: [] for group_id in group_ids}
    for group_id, username in rows:
        names[group_id].append(username)
    return names


def _tell(session: Session, event_type: str, group: Group, **more: str) -> None:
    data = {"id": group.id, "name": group.name, **more}
    events.record(session, type=event_type, subject=f"groups/{group.id}", data=data, audience="admin")
