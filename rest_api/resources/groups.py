"""`/groups`: named sets of users."""

from dataclasses import replace
from typing import Any

from marshmallow import fields, validate

from rest_api.auth import Rule, allow
from rest_api.models.group import Group
from rest_api.query.conditions import Column, ColumnType, Order, Query, Shape
from rest_api.query.sql import Page, Source
from rest_api.request import session
from rest_api.resources.listing import lists
from rest_api.resources.wire import Blueprint, Time, WireSchema
from rest_api.services import groups
from rest_api.services.users import NAME_PATTERN

GROUPS = Shape(
    name="groups",
    columns=(
        Column("id", ColumnType.INTEGER, "number of the group"),
        Column("name", ColumnType.TEXT, "its name"),
        Column("created_at", ColumnType.TIMESTAMP, "when it was created"),
    ),
    key=("id",),
    default_order=(Order("id", descending=False),),
)
blueprint = Blueprint("groups", __name__, url_prefix="/groups", description="Named sets of users")


class GroupSchema(WireSchema):
    """A group."""

    id = fields.Integer(metadata={"example": 1})
    name = fields.String(metadata={"example": "analysts"})
    created_at = Time(metadata={"description": "when it was created"})


class GroupWithMembersSchema(GroupSchema):
    """A group and its members."""

    members = fields.List(fields.String(), metadata={"description": "usernames in alphabetical order"})


class NewGroupSchema(WireSchema):
    """A new group."""

    name = fields.String(required=True, validate=validate.Regexp(NAME_PATTERN), metadata={"example": "librarians"})


@blueprint.route("", methods=["GET"])
@lists(GROUPS, GroupWithMembersSchema)
@allow(Rule.ADMIN)
def list_groups(query: Query) -> Page:
    """List groups, with their members where no `select` leaves them out."""
    page = Source.of(Group, GROUPS).page(session(), query)
    if query.select is not None:
        return page
    members = groups.member_names(session(), [row["id"] for row in page.rows])
    return replace(page, rows=[{**row, "members": members[row["id"]]} for row in page.rows])


@blueprint.route("", methods=["POST"])
@blueprint.arguments(NewGroupSchema)
@blueprint.response(201, GroupWithMembersSchema)
@allow(Rule.ADMIN, refuses=(409,))
def create_group(body: dict[str, str]) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Create an empty group. A name is given once, for users and groups together."""
    group = groups.create_group(session(), body["name"])
    return _with_members(group), 201, {"Location": f"/groups/{group.name}"}


@blueprint.route("/<name>", methods=["GET"])
@blueprint.response(200, GroupWithMembersSchema)
@allow(Rule.ADMIN, refuses=(404,))
def read_group(name: str) -> dict[str, Any]:
    """Read one group and its members."""
    return _with_members(groups.find_group(session(), name))


@blueprint.route("/<name>", methods=["DELETE"])
@blueprint.response(204)
@allow(Rule.ADMIN, refuses=(404,))
def delete_group(name: str) -> None:
    """Delete a group; its name stays taken."""
    groups.delete_group(session(), name)


@blueprint.route("/<name>/members/<username>", methods=["PUT"])
@blueprint.response(204)
@allow(Rule.ADMIN, refuses=(404,))
def add_member(name: str, username: str) -> None:
    """Put a user into a group."""
    groups.add_member(session(), name, username)


@blueprint.route("/<name>/members/<username>", methods=["DELETE"])
@blueprint.response(204)
@allow(Rule.ADMIN, refuses=(404,))
def remove_member(name: str, username: str) -> None:
    """Take a user out of a group."""
    groups.remove_member(session(), name, username)


def _with_members(group: Group) -> dict[str, Any]:
    members = groups.member_names(session(), [group.id])[group.id]
    return {"id": group.id, "name": group.name, "created_at": group.created_at, "members": members}
