"""`/users`: accounts for administrators, cards for everybody, and one's own password."""

from typing import Any

from flask import current_app, request
from marshmallow import fields, validate

from rest_api.auth import Principal, Rule, allow, current_principal
from rest_api.errors import Forbidden
from rest_api.models.user import ROLES, User
from rest_api.query.conditions import Column, ColumnType, Comparison, Order, Query, Shape
from rest_api.query.sql import Page, Source
from rest_api.request import session
from rest_api.resources.listing import lists
from rest_api.resources.wire import Blueprint, StrictBoolean, Time, WireSchema
from rest_api.services import users
from rest_api.services.logins import LoginGate
from rest_api.services.passwords import MAX_PASSWORD_CHARACTERS, MIN_PASSWORD_CHARACTERS, hash_password

USERS = Shape(
    name="users",
    columns=(
        Column("id", ColumnType.INTEGER, "number of the user"),
        Column("username", ColumnType.TEXT, "name he logs in with"),
        Column("role", ColumnType.TEXT, "reader, editor or admin"),
        Column("created_at", ColumnType.TIMESTAMP, "when he was created"),
        Column("disabled_at", ColumnType.TIMESTAMP, "when he was disabled; null while he may call"),
    ),
    key=("id",),
    default_order=(Order("id", descending=False),),
)
CARD = ("id", "username")
PASSWORD = validate.Length(MIN_PASSWORD_CHARACTERS, MAX_PASSWORD_CHARACTERS)
blueprint = Blueprint("users", __name__, url_prefix="/users", description="Accounts and roles")


class UserSchema(WireSchema):
    """A user; others than administrators see `id` and `username` only."""

    id = fields.Integer(metadata={"example": 2})
    username = fields.String(metadata={"example": "ada"})
    role = fields.String(metadata={"example": "editor"})
    created_at = Time(metadata={"description": "when he was created"})
    disabled_at = Time(allow_none=True, metadata={"description": "when he was disabled; null while he may call"})


class NewUserSchema(WireSchema):
    """A new user."""

    username = fields.String(required=True, validate=validate.Regexp(users.NAME_PATTERN), metadata={"example": "mary"})
    password = fields.String(required=True, validate=PASSWORD, metadata={"example": "correct horse battery"})
    role = fields.String(required=True, validate=validate.OneOf(ROLES), metadata={"example": "editor"})


class UserChangeSchema(WireSchema):
    """What to change of a user."""

    role = fields.String(validate=validate.OneOf(ROLES), metadata={"example": "reader"})
    disabled = StrictBoolean(metadata={"example": False})


class PasswordChangeSchema(WireSchema):
    """One's own password, before and after."""

    old = fields.String(
        required=True,
        validate=validate.Length(1, MAX_PASSWORD_CHARACTERS),
        metadata={"description": "the password until now", "example": "$PASSWORD"},
    )
    new = fields.String(
        required=True,
        validate=PASSWORD,
        metadata={"description": "the password from now on", "example": "a horse of another colour"},
    )


@blueprint.route("", methods=["GET"])
@lists(USERS, UserSchema)
@allow(Rule.READER)
def list_users(query: Query) -> Page:
    """List users: all of them for administrators; cards by `id=in.(…)` for everybody."""
    return Source.of(User, USERS).page(session(), visible(query, current_principal()))


@blueprint.route("", methods=["POST"])
@blueprint.arguments(NewUserSchema)
@blueprint.response(201, UserSchema)
@allow(Rule.ADMIN, refuses=(409,))
def create_user(body: dict[str, str]) -> tuple[User, int, dict[str, str]]:
    """Create a user. A name is given once, for users and groups together."""
    password_hash = hash_password(body["password"])
    user = users.create_user(session(), body["username"], password_hash, body["role"])
    return user, 201, {"Location": f"/users/{user.username}"}


@blueprint.route("/<username>", methods=["GET"])
@blueprint.response(200, UserSchema)
@allow(Rule.ADMIN, refuses=(404,))
def read_user(username: str) -> User:
    """Read one user."""
    return users.find_user(session(), username)


@blueprint.route("/<username>", methods=["PATCH"])
@blueprint.arguments(UserChangeSchema)
@blueprint.response(200, UserSchema)
@allow(Rule.ADMIN, refuses=(404, 409))
def change_user(body: dict[str, Any], username: str) -> User:
    """Change a role, disable or enable. Holds from the user's next request; the last administrator stays."""
    return users.change_user(session(), username, role=body.get("role"), disabled=body.get("disabled"))


@blueprint.route("/me/password", methods=["PUT"])
@blueprint.arguments(PasswordChangeSchema)
@blueprint.response(204)
@allow(Rule.READER, refuses=(409,))
def change_password(body: dict[str, str]) -> None:
    """Change one's own password; one's other logins end."""
    caller = current_principal()
    gate: LoginGate = current_app.extensions["lakeport"].login_gate
    # A stolen token must not be a way to guess the password. A change that succeeds counts too, until the next login.
    gate.admit(caller.username, request.remote_addr or "")
    users.change_password(session(), caller.id, body["old"], body["new"], caller.family)


def visible(query: Query, principal: Principal) -> Query:
    """The query that a principal may run: administrators any, others cards by id. Raises Forbidden."""
    if principal.may(Rule.ADMIN):
        return query
    by_id = isinstance(query.where, Comparison) and (query.where.column, query.where.op) == ("id", "in")
    selects_card = query.select is None or set(query.select) <= set(CARD)
    orders_card = all(order.column in CARD for order in query.order)
    if not (by_id and selects_card and orders_card):
        raise Forbidden("Only cards are given, by id=in.(…)")
    return query.selecting(query.select or CARD)
