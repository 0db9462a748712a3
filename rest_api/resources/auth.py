"""`/auth`: log in, refresh, revoke, and who am I."""

from typing import Any, ClassVar

import marshmallow as ma
from flask import current_app, request
from marshmallow import fields, validate
from sqlalchemy import select

from rest_api.auth import Rule, allow, current_principal, token_book
from rest_api.database import READ_ONLY
from rest_api.errors import Unauthenticated
from rest_api.models.user import User
from rest_api.request import reader, recorded, session
from rest_api.resources.wire import Blueprint, WireSchema
from rest_api.services import tokens
from rest_api.services.logins import LoginGate
from rest_api.services.passwords import MAX_PASSWORD_CHARACTERS, verify_password
from rest_api.services.rights import grants_of, policy_of

blueprint = Blueprint("auth", __name__, url_prefix="/auth", description="Tokens, and who is calling")


class CredentialsSchema(WireSchema):
    """A name and a password, or a refresh token."""

    constraints: ClassVar[dict[str, Any]] = {
        "oneOf": [
            {"required": ["username", "password"], "maxProperties": 2},
            {"required": ["refresh_token"], "maxProperties": 1},
        ]
    }
    username = fields.String(validate=validate.Length(1, 64), metadata={"example": "admin"})
    password = fields.String(
        validate=validate.Length(1, MAX_PASSWORD_CHARACTERS),
        load_only=True,
        metadata={"description": "the user's password", "example": "$PASSWORD"},
    )
    refresh_token = fields.String(
        validate=validate.Length(1, 4_096),
        metadata={"description": "in the place of name and password: the one of the last answer"},
    )

    @ma.validates_schema
    def is_one_way(self, data: dict[str, Any], **_: Any) -> None:
        """Either way, not both."""
        if set(data) not in ({"username", "password"}, {"refresh_token"}):
            raise ma.ValidationError("give username and password, or refresh_token")


class TokenSchema(WireSchema):
    """A pair of tokens."""

    access_token = fields.String(metadata={"description": "send it as `Authorization: Bearer …`"})
    refresh_token = fields.String(metadata={"description": "good for one new pair"})
    token_type = fields.String(metadata={"example": "Bearer"})
    expires_in = fields.Integer(metadata={"description": "seconds the access token lives", "example": 900})


class PrincipalSchema(WireSchema):
    """Who is calling."""

    id = fields.Integer(metadata={"example": 1})
    username = fields.String(metadata={"example": "admin"})
    role = fields.String(metadata={"example": "admin"})
    groups = fields.List(fields.String(), metadata={"description": "names of his groups", "example": ["analysts"]})
    policy = fields.String(
        metadata={
            "description": "fingerprint of what the caller's rights are: his role and what his grants give; the same "
            "for all who have the same, another one whenever they differ",
            "example": "0f343b0931126a20f133d67c2b018a3b",
        }
    )


@blueprint.route("/token", methods=["POST"])
@blueprint.arguments(CredentialsSchema)
@blueprint.response(200, TokenSchema)
@allow(Rule.ANYONE, refuses=(401, 429))
def issue_token(body: dict[str, str]) -> dict[str, Any]:
    """Log in with a password, or rotate a refresh token."""
    if "refresh_token" in body:
        return _refresh(body["refresh_token"])
    return _log_in(body["username"], body["password"])


@blueprint.route("/revoke", methods=["POST"])
@blueprint.response(204)
@allow(Rule.READER)
def revoke() -> None:
    """End the caller's login: its tokens are refused from the next request on."""
    tokens.end_family(session(), current_principal().family)


@blueprint.route("/me", methods=["GET"])
@blueprint.response(200, PrincipalSchema)
@allow(Rule.READER)
def read_me() -> dict[str, Any]:
    """Who is calling, with his groups and the fingerprint of his rights."""
    principal = current_principal()
    policy = policy_of(principal.role, grants_of(session(), reader()))
    shown = {name: getattr(principal, name) for name in ("id", "username", "role", "groups")}
    return {**shown, "policy": policy}


def _log_in(username: str, password: str) -> dict[str, Any]:
    found = select(User.id, User.password_hash, User.disabled_at).where(User.username == username)
    with token_book().engine.connect().execution_options(**READ_ONLY) as connection:
        row = connection.execute(found).first()
    if row is None:
        # What nobody is called may be a password typed into the wrong field.
        recorded(username=None, secrets=frozenset({"username"}))
    else:
        recorded(username=username)
    gate: LoginGate = current_app.extensions["lakeport"].login_gate
    gate.admit(username, request.remote_addr or "")
    # No transaction is open while the hash is computed: it takes long on purpose.
    password_hash = row.password_hash if row is not None and row.disabled_at is None else None
    if not verify_password(password_hash, password) or row is None:
        raise Unauthenticated("The username or the password is wrong")
    gate.clear(username, request.remote_addr or "")
    user = session().get_one(User, row.id, with_for_update=True)
    if user.disabled_at is not None or user.password_hash != row.password_hash:
        raise Unauthenticated("The username or the password is wrong")
    return token_book().issue(tokens.begin_family(session(), user, token_book().refresh_lifetime))


def _refresh(token: str) -> dict[str, Any]:
    claims = token_book().read(token, "refresh")
    return token_book().issue(tokens.rotate(session(), str(claims["fam"]), str(claims["jti"])))
