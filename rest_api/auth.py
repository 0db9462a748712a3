"""Who is calling, and whether a route admits him: nobody gets in unless a route's rule says so."""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, TypeVar

from flask import Flask, current_app, g, request
from flask_jwt_extended import JWTManager, create_access_token, create_refresh_token, decode_token
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt.exceptions import PyJWTError
from sqlalchemy import Engine, Select, bindparam, select

from rest_api.database import utc_now
from rest_api.errors import Forbidden, Unauthenticated
from rest_api.models.group import Group, Membership
from rest_api.models.token import TokenFamily
from rest_api.models.user import User
from rest_api.services.tokens import Issue
from rest_api.settings import Settings, SigningKey
from rest_api.statements import DriverConnections, Statement

ISSUER = "lakeport"
AUDIENCE = "lakeport-api"
ALGORITHM = "HS256"
REQUIRED_CLAIMS = ("iss", "aud", "exp", "nbf", "iat", "jti", "sub", "fam", "type")
MAX_TOKEN_CHARACTERS = 4_096
REMEMBERED_TOKENS = 4_096
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Rule(Enum):
    """Whom a route admits: everybody, or everybody from a role upwards."""

    ANYONE = 0
    READER = 1
    EDITOR = 2
    ADMIN = 3


_RANKS = {"reader": Rule.READER, "editor": Rule.EDITOR, "admin": Rule.ADMIN}
Route = TypeVar("Route", bound=Callable[..., Any])


@dataclass(frozen=True)
class Admission:
    """What a route says of itself: whom it admits, how it may refuse, and the largest body it takes."""

    rule: Rule
    refuses: tuple[int, ...] = ()
    body_limit: str = "json_bytes"
    is_recorded: bool = True
    only_reads: bool = False
    commits_apart: bool = False
    streams_body: bool = False


def allow(
    rule: Rule,
    *,
    refuses: tuple[int, ...] = (),
    body_limit: str = "json_bytes",
    is_recorded: bool = True,
    only_reads: bool = False,
    commits_apart: bool = False,
    streams_body: bool = False,
) -> Callable[[Route], Route]:
    """Declare whom a route admits; the decorator next to the function, below flask-smorest's.

    `only_reads` marks a POST that changes nothing, `commits_apart` one that commits in the lake: see ADR 10.
    `streams_body` leaves the body to the route, which reads it as it comes.
    """
    admission = Admission(rule, refuses, body_limit, is_recorded, only_reads, commits_apart, streams_body)

    def mark(route: Route) -> Route:
        route.admission = admission  # type: ignore[attr-defined]
        return route

    return mark


@dataclass(frozen=True)
class Principal:
    """Somebody authenticated, as the database knows him at this moment.

    `standing` is the fingerprint of his role and groups. `family` is his login, `token_ends_at` the end of the token
    he showed, in seconds since 1970.
    """

    id: int
    username: str
    role: str
    groups: tuple[str, ...]
    family: str
    token_ends_at: float

    @property
    def standing(self) -> str:
        return hashlib.blake2b("\x00".join((self.role, *self.groups)).encode(), digest_size=8).hexdigest()

    def may(self, rule: Rule) -> bool:
        """Whether his role reaches the rule."""
        return _RANKS[self.role].value >= rule.value


def current_principal() -> Principal:
    """The caller of the running request. Raises Unauthenticated on a public route without one."""
    principal: Principal | None = g.get("principal")
    if principal is None:
        raise Unauthenticated("This call needs a bearer token")
    return principal


class GenuineTokens:
    """Tokens whose signatures were checked lately: what is signed stays signed, only its end is looked at again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._claims: dict[bytes, Mapping[str, Any]] = {}

    def claims(self, token: str, decode: Callable[[str], Mapping[str, Any]]) -> Mapping[str, Any]:
        """The claims of a token, from memory or by `decode`. Raises as that does."""
        # Nobody can find a token out by timing how its fingerprint is looked for.
        fingerprint = hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=32).digest()
        known = self._claims.get(fingerprint)
        if known is not None and known["exp"] > time.time():
            return known
        claims = decode(token)
        if len(self._claims) >= self._most:
            self._claims.clear()
        self._claims[fingerprint] = claims
        return claims


def _decoded(token: str) -> Mapping[str, Any]:
    try:
        claims: Mapping[str, Any] = decode_token(token)
    except (PyJWTError, JWTExtendedException, ValueError, KeyError, TypeError) as error:
        raise Unauthenticated("The token is not valid or has expired") from error
    if any(claims.get(name) is None for name in REQUIRED_CLAIMS):
        raise Unauthenticated("The token is not valid here")
    return claims


@dataclass(frozen=True)
class TokenBook:
    """Issues and checks tokens, and looks their bearer up in the database."""

    engine: Engine
    connections: DriverConnections
    signing_keys: tuple[SigningKey, ...]
    access_lifetime: timedelta
    refresh_lifetime: timedelta
    genuine: GenuineTokens
    bearers: Statement

    def issue(self, issue: Issue) -> dict[str, Any]:
        """The body of a token answer."""
        claims = {"fam": issue.family_id}
        headers = {"kid": self.signing_keys[0].kid}
        identity = str(issue.user_id)
        access = create_access_token(identity, additional_claims=claims, additional_headers=headers)
        refresh_claims = {**claims, "jti": issue.refresh_jti}
        refresh = create_refresh_token(identity, additional_claims=refresh_claims, additional_headers=headers)
        return {
            "access_token": access,
            "refresh_token": refresh,
            "token_type": "Bearer",
            "expires_in": int(self.access_lifetime.total_seconds()),
        }

    def read(self, token: str, kind: str) -> Mapping[str, Any]:
        """The claims of a genuine token of that kind. Raises Unauthenticated, never saying more than needed."""
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise Unauthenticated("The token is not valid")
        claims = self.genuine.claims(token, _decoded)
        if claims["type"] != kind:
            raise Unauthenticated("The token is not valid here")
        return claims

    def bearer(self, authorization: str | None) -> Principal:
        """The principal of an `Authorization` header, his rights read now."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("This call needs a bearer token")
        claims = self.read(token.strip(), "access")
        return self.look_up(str(claims["fam"]), str(claims["sub"]), float(claims["exp"]))

    def look_up(self, family: str, user_id: str, token_ends_at: float) -> Principal:
        """The principal behind a login that still lives. Raises Unauthenticated."""
        with self.connections.lent() as connection:
            rows = self.bearers.rows(connection.cursor(), {"family": family, "now": utc_now()})
        if not rows or str(rows[0][0]) != user_id:
            raise Unauthenticated("The token is not valid any more")
        number, username, role, _ = rows[0]
        groups = tuple(sorted(group for *_, group in rows if group is not None))
        return Principal(number, username, role, groups, family, token_ends_at)

    def look_up_again(self, principal: Principal) -> Principal:
        """The same principal with his rights of this moment. Raises Unauthenticated when his login ended."""
        return self.look_up(principal.family, str(principal.id), principal.token_ends_at)


def token_book() -> TokenBook:
    """The token book of the running app."""
    book: TokenBook = current_app.extensions["lakeport"].tokens
    return book


def authenticate(admission: Admission | None) -> None:
    """Set `g.principal` from the request's token, where there is one that must hold."""
    g.principal = None
    if admission is not None and admission.rule is Rule.ANYONE:
        return
    g.principal = token_book().bearer(request.headers.get("Authorization"))


def authorize(admission: Admission | None) -> None:
    """Hold the route's rule. Raises Forbidden."""
    if admission is None or admission.rule is Rule.ANYONE:
        return
    if not current_principal().may(admission.rule):
        raise Forbidden(f"This call needs the role {admission.rule.name.lower()}")


def route_admission() -> Admission | None:
    """What the matched route says of itself; None when no route matched."""
    if request.endpoint is None:
        return None
    view: Any = current_app.view_functions[request.endpoint]
    admission: Admission = view.admission
    return admission


def changes_nothing() -> bool:
    """Whether the running request only reads, by its method or by what its route says."""
    admission = route_admission()
    return request.method in SAFE_METHODS or (admission is not None and admission.only_reads)


def commits_apart() -> bool:
    """Whether the running request commits in the lake, and so must hold no lock of the database meanwhile."""
    admission = route_admission()
    return admission is not None and admission.commits_apart


def streams_body() -> bool:
    """Whether the running request's body is too large for memory, and read by its route."""
    admission = route_admission()
    return admission is not None and admission.streams_body


def require_admissions(app: Flask) -> None:
    """Stop the start of an app with a route that does not say whom it admits."""
    silent = [name for name, view in app.view_functions.items() if not hasattr(view, "admission")]
    if silent:
        raise RuntimeError(f"no rule on the routes {', '.join(silent)}")


def configure_tokens(app: Flask, settings: Settings, engine: Engine, connections: DriverConnections) -> TokenBook:
    """Set Flask-JWT-Extended up: one algorithm, keys chosen by `kid`, issuer and audience checked."""
    keys = {key.kid: key.secret for key in settings.jwt_secrets}
    access = timedelta(seconds=settings.access_token_seconds)
    refresh = timedelta(seconds=settings.refresh_token_seconds)
    app.config.update(
        JWT_ALGORITHM=ALGORITHM,
        JWT_DECODE_ALGORITHMS=[ALGORITHM],
        JWT_ENCODE_ISSUER=ISSUER,
        JWT_DECODE_ISSUER=ISSUER,
        JWT_ENCODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_AUDIENCE=AUDIENCE,
        JWT_ACCESS_TOKEN_EXPIRES=access,
        JWT_REFRESH_TOKEN_EXPIRES=refresh,
    )
    manager = JWTManager(app)
    manager.encode_key_loader(lambda _identity: settings.jwt_secrets[0].secret)
    manager.decode_key_loader(lambda header, _claims: keys[str(header["kid"])])
    bearers = Statement.compiled(_bearer_statement(), engine.dialect)
    genuine = GenuineTokens(REMEMBERED_TOKENS)
    return TokenBook(engine, connections, settings.jwt_secrets, access, refresh, genuine, bearers)


def _bearer_statement() -> Select[*tuple[Any, ...]]:
    """Id, username, role and group of a login's user, a row for each group or one without; none where it has ended."""
    is_alive = (User.disabled_at.is_(None), TokenFamily.ended_at.is_(None), TokenFamily.expires_at > bindparam("now"))
    return (
        select(User.id, User.username, User.role, Group.name.label("group_name"))
        .join(TokenFamily, TokenFamily.user_id == User.id)
        .outerjoin(Membership, Membership.user_id == User.id)
        .outerjoin(Group, Group.id == Membership.group_id)
        .where(TokenFamily.id == bindparam("family"), *is_alive)
    )
