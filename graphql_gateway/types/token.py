"""Tokens: log in and refresh."""

from typing import Any

from ariadne import MutationType, ObjectType
from ariadne.types import SchemaBindable

from graphql_gateway.rest_client import Call, Info
from graphql_gateway.types.answers import answering

# A login has no rights to lack: its 401 says that the password or the token is wrong, which belongs into the answer.
ANSWERED = (400, 401)
ROUTE = "/auth/token"


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    mutation, response = MutationType(), ObjectType("TokenResponse")
    mutation.set_field("login", login)
    mutation.set_field("refresh", refresh)
    response.set_alias("accessToken", "access_token")
    response.set_alias("refreshToken", "refresh_token")
    response.set_alias("expiresIn", "expires_in")
    return [mutation, response]


@answering(*ANSWERED)
async def login(_: object, info: Info, username: str, password: str) -> dict[str, Any]:
    """A pair of tokens for a password."""
    return await _issue(info, {"username": username, "password": password})


@answering(*ANSWERED)
async def refresh(_: object, info: Info, refreshToken: str) -> dict[str, Any]:  # noqa: N803
    """A pair of tokens for a refresh token."""
    return await _issue(info, {"refresh_token": refreshToken})


async def _issue(info: Info, body: dict[str, str]) -> dict[str, Any]:
    tokens: dict[str, Any] = await info.context.read(Call("POST", ROUTE, ROUTE, body=body))
    return tokens
