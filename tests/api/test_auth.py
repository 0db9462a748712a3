"""Tokens: who gets them, how they rotate, and everything that ends them."""

import base64
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.conftest import PASSWORD, Caller, log_in


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def signed(app: Flask, change: Callable[[dict[str, Any]], None], **more: Any) -> str:
    """A token like a real one, but for a change of its claims or of how it is signed."""
    key = app.extensions["lakeport"].settings.jwt_secrets[0]
    genuine = log_in(app, "rita").tokens["access_token"]
    claims = jwt.decode(genuine, options={"verify_signature": False})
    change(claims)
    options = {"key": key.secret, "algorithm": "HS256", "headers": {"kid": key.kid}, **more}
    return jwt.encode(claims, **options)


def test_a_login_gives_tokens_that_open_the_door(app: Flask, client: FlaskClient) -> None:
    answer = client.post("/auth/token", json={"username": "rita", "password": PASSWORD})
    assert set(answer.json or {}) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert answer.headers["Cache-Control"] == "no-store"
    me = client.get("/auth/me", headers=bearer(answer.json["access_token"])).json
    assert (me["username"], me["role"], me["groups"]) == ("rita", "reader", [])
    assert me["policy"]


BOTH_WAYS = {"username": "rita", "password": "x", "refresh_token": "y"}
NONSENSE = [None, "Bearer", "Bearer x", "Basic cm9vdDp4", "Bearer a.b.c", "Bearer " + "x" * 9_000]


@pytest.mark.parametrize("body", [{}, {"username": "rita"}, BOTH_WAYS])
def test_a_login_takes_one_way_only(client: FlaskClient, body: dict[str, str]) -> None:
    assert client.post("/auth/token", json=body).status_code == 400


@pytest.mark.parametrize("username", ["rita", "nobody"])
def test_a_wrong_password_and_an_unknown_name_are_told_alike(client: FlaskClient, username: str) -> None:
    answer = client.post("/auth/token", json={"username": username, "password": "wrong"})
    assert answer.status_code == 401
    assert answer.json["detail"] == "The username or the password is wrong"
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", NONSENSE)
def test_no_token_or_nonsense_is_401(client: FlaskClient, header: str | None) -> None:
    answer = client.get("/articles", headers={"Authorization": header} if header else {})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_an_unknown_path_without_a_token_is_401_too(client: FlaskClient, reader: Caller) -> None:
    assert client.get("/no/such/path").status_code == 401
    assert reader.get("/no/such/path").status_code == 404


def test_forged_tokens_are_401(app: Flask, client: FlaskClient) -> None:
    past = datetime.now(UTC) - timedelta(hours=1)
    forged = {
        "expired": signed(app, lambda claims: claims.update(exp=past)),
        "not yet valid": signed(app, lambda claims: claims.update(nbf=datetime.now(UTC) + timedelta(hours=1))),
        "another key": signed(app, lambda claims: None, key="x" * 64),
        "another issuer": signed(app, lambda claims: claims.update(iss="elsewhere")),
        "another audience": signed(app, lambda claims: claims.update(aud="elsewhere")),
        "no expiry": signed(app, lambda claims: claims.pop("exp")),
        "no id": signed(app, lambda claims: claims.pop("jti")),
        "unknown kid": signed(app, lambda claims: None, headers={"kid": "other"}),
        "no kid": signed(app, lambda claims: None, headers={}),
        "another algorithm": signed(app, lambda claims: None, algorithm="HS512"),
        "another user": signed(app, lambda claims: claims.update(sub="1")),
        "odd family": signed(app, lambda claims: claims.update(fam=["x"])),
    }
    statuses = {name: client.get("/auth/me", headers=bearer(token)).status_code for name, token in forged.items()}
    assert statuses == dict.fromkeys(forged, 401)
    assert client.get("/auth/me", headers=bearer(signed(app, lambda claims: None))).status_code == 200


def test_an_unsigned_token_is_401(reader: Caller, client: FlaskClient) -> None:
    payload = reader.tokens["access_token"].split(".")[1]
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": "k1"}).encode()).rstrip(b"=").decode()
    assert client.get("/auth/me", headers=bearer(f"{header}.{payload}.")).status_code == 401


def test_a_refresh_token_opens_no_door_and_an_access_token_renews_nothing(reader: Caller, client: FlaskClient) -> None:
    assert client.get("/auth/me", headers=bearer(reader.tokens["refresh_token"])).status_code == 401
    answer = client.post("/auth/token", json={"refresh_token": reader.tokens["access_token"]})
    assert answer.status_code == 401


def test_a_refresh_rotates(reader: Caller, client: FlaskClient) -> None:
    fresh = client.post("/auth/token", json={"refresh_token": reader.tokens["refresh_token"]}).json
    assert fresh["refresh_token"] != reader.tokens["refresh_token"]
    assert client.get("/auth/me", headers=bearer(fresh["access_token"])).status_code == 200


def test_a_refresh_token_used_twice_ends_the_family(reader: Caller, client: FlaskClient) -> None:
    old = {"refresh_token": reader.tokens["refresh_token"]}
    fresh = client.post("/auth/token", json=old).json
    assert client.post("/auth/token", json=old).status_code == 401
    assert client.get("/auth/me", headers=bearer(fresh["access_token"])).status_code == 401
    assert client.post("/auth/token", json={"refresh_token": fresh["refresh_token"]}).status_code == 401


def test_of_many_refreshes_at_once_at_most_one_succeeds(app: Flask, reader: Caller) -> None:
    body = {"refresh_token": reader.tokens["refresh_token"]}

    def refresh(_: int) -> int:
        return app.test_client().post("/auth/token", json=body).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(refresh, range(6)))
    assert statuses.count(200) == 1
    assert set(statuses) == {200, 401}


def test_a_revoked_token_is_refused_from_the_next_request_on(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    caller = log_in(app, "rita")
    other = log_in(app, "rita")
    assert caller.post("/auth/revoke").status_code == 204
    assert caller.get("/auth/me").status_code == 401
    refreshed = caller.client.post("/auth/token", json={"refresh_token": caller.tokens["refresh_token"]})
    assert refreshed.status_code == 401
    assert other.get("/auth/me").status_code == 200


def test_rotating_the_signing_key_logs_nobody_out(make_app: Callable[..., Flask]) -> None:
    old_key, new_key = "k1:" + "a" * 48, "k2:" + "b" * 48
    caller = log_in(make_app(JWT_SECRETS=old_key), "rita")
    rotated = make_app(JWT_SECRETS=f"{new_key},{old_key}")
    headers = caller.headers
    assert rotated.test_client().get("/auth/me", headers=headers).status_code == 200
    fresh = log_in(rotated, "rita").tokens["access_token"]
    assert jwt.get_unverified_header(fresh)["kid"] == "k2"
    retired = make_app(JWT_SECRETS=new_key)
    assert retired.test_client().get("/auth/me", headers=headers).status_code == 401


def test_failed_logins_are_limited_across_processes(make_app: Callable[..., Flask]) -> None:
    limits = {"LOGIN_FAILURES_PER_ACCOUNT": "3", "LOGIN_FAILURES_PER_ADDRESS": "5"}
    clients = [make_app(**limits).test_client() for _ in range(2)]

    def fail(number: int, username: str) -> int:
        body = {"username": username, "password": "wrong"}
        answer = clients[number % 2].post("/auth/token", json=body)
        if answer.status_code == 429:
            assert int(answer.headers["Retry-After"]) > 0
        return answer.status_code

    assert [fail(number, "rita") for number in range(4)] == [401, 401, 401, 429]
    right = clients[0].post("/auth/token", json={"username": "rita", "password": PASSWORD})
    assert right.status_code == 429
    assert [fail(number, f"u{number}") for number in range(3)] == [401, 401, 429]


def test_guesses_made_at_once_do_not_pass_the_limit_together(make_app: Callable[..., Flask]) -> None:
    app = make_app(LOGIN_FAILURES_PER_ACCOUNT="3")

    def fail(_: int) -> int:
        return app.test_client().post("/auth/token", json={"username": "rita", "password": "wrong"}).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(fail, range(8)))
    assert statuses.count(401) == 3


def test_a_login_clears_the_failures_of_its_account(make_app: Callable[..., Flask]) -> None:
    client = make_app(LOGIN_FAILURES_PER_ACCOUNT="2").test_client()
    for _ in range(3):
        assert client.post("/auth/token", json={"username": "rita", "password": "wrong"}).status_code == 401
        assert client.post("/auth/token", json={"username": "rita", "password": PASSWORD}).status_code == 200


def test_only_a_trusted_proxy_says_who_the_client_is(make_app: Callable[..., Flask]) -> None:
    from rest_api.proxies import TrustedProxies

    app = make_app(LOGIN_FAILURES_PER_ACCOUNT="1", TRUSTED_PROXIES="127.0.0.1")
    settings = app.extensions["lakeport"].settings
    app.wsgi_app = TrustedProxies(app.wsgi_app, settings.trusted_proxies)  # type: ignore[method-assign]
    client = app.test_client()

    def fail(peer: str, forwarded: str) -> int:
        environ = {"REMOTE_ADDR": peer}
        headers = {"X-Forwarded-For": forwarded}
        body = {"username": "rita", "password": "wrong"}
        return client.post("/auth/token", json=body, environ_base=environ, headers=headers).status_code

    assert fail("127.0.0.1", "10.0.0.1") == 401
    assert fail("127.0.0.1", "10.0.0.2") == 401
    assert fail("127.0.0.1", "6.6.6.6, 10.0.0.1") == 429
    assert fail("10.0.0.9", "10.0.0.3") == 401
    assert fail("10.0.0.9", "10.0.0.4") == 429


def test_tokens_expire_though_they_were_good_before(make_app: Callable[..., Flask]) -> None:
    caller = log_in(make_app(ACCESS_TOKEN_SECONDS="3"), "rita")
    assert caller.get("/auth/me").status_code == 200
    ends_at = jwt.decode(caller.tokens["access_token"], options={"verify_signature": False})["exp"]
    while time.time() <= ends_at:
        time.sleep(0.05)
    assert caller.get("/auth/me").status_code == 401
