"""`/users` and `/groups` as each kind of caller sees them."""

import pytest
from flask import Flask

from tests.conftest import PASSWORD, Caller, log_in

NEW = {"username": "ada", "password": "a long enough one", "role": "editor"}


def test_an_administrator_creates_lists_and_changes_users(app: Flask, admin: Caller) -> None:
    created = admin.post("/users", NEW)
    assert created.status_code == 201
    assert "password" not in str(created.json)
    assert admin.get(created.headers["Location"]).json == created.json
    names = [row["username"] for row in admin.get("/users?order=username").json["data"]]
    assert names == ["ada", "ed", "rita", "root"]
    assert admin.patch("/users/ada", {"role": "reader"}).json["role"] == "reader"
    assert log_in(app, "ada", NEW["password"]).post("/articles", {"title": "x", "content": ""}).status_code == 403


def test_a_name_is_never_given_twice(admin: Caller) -> None:
    assert admin.post("/users", NEW).status_code == 201
    assert admin.post("/users", NEW).status_code == 409
    assert admin.post("/groups", {"name": "Ada"}).status_code == 409
    assert admin.post("/groups", {"name": "analysts"}).status_code == 201
    assert admin.delete("/groups/analysts").status_code == 204
    assert admin.post("/groups", {"name": "analysts"}).status_code == 409
    assert admin.post("/users", {**NEW, "username": "me"}).status_code == 400


@pytest.mark.parametrize("change", [{"username": "a b"}, {"password": "short"}, {"role": "king"}, {"username": "ä"}])
def test_a_bad_user_is_refused(admin: Caller, change: dict[str, str]) -> None:
    answer = admin.post("/users", {**NEW, **change})
    assert answer.status_code == 400
    assert answer.json["errors"][0]["field"] in change


def test_others_get_cards_by_id_only(admin: Caller, reader: Caller) -> None:
    cards = reader.get("/users?id=in.(1,2)").json["data"]
    assert cards == [{"id": 1, "username": "root"}, {"id": 2, "username": "ed"}]
    refused = [
        "/users",
        "/users?id=eq.1",
        "/users?id=in.(1)&role=eq.admin",
        "/users?id=in.(1)&select=role",
        "/users?id=in.(1)&order=role",
        "/users?or=(id.in.(1),role.eq.admin)",
        "/users?id=not.in.(1)",
        "/users/root",
    ]
    assert {path: reader.get(path).status_code for path in refused} == dict.fromkeys(refused, 403)
    assert reader.post("/users", NEW).status_code == 403


def test_a_role_holds_from_the_next_request(app: Flask, admin: Caller, editor: Caller) -> None:
    assert editor.post("/articles", {"title": "x", "content": ""}).status_code == 201
    admin.patch("/users/ed", {"role": "reader"})
    assert editor.post("/articles", {"title": "x", "content": ""}).status_code == 403


def test_a_disabled_user_is_out_and_comes_back_when_enabled(app: Flask, admin: Caller, reader: Caller) -> None:
    assert admin.patch("/users/rita", {"disabled": True}).json["disabled_at"]
    assert reader.get("/auth/me").status_code == 401
    body = {"username": "rita", "password": PASSWORD}
    assert reader.client.post("/auth/token", json=body).status_code == 401
    admin.patch("/users/rita", {"disabled": False})
    assert log_in(app, "rita").get("/auth/me").status_code == 200
    assert reader.get("/auth/me").status_code == 401


@pytest.mark.parametrize("change", [{"role": "editor"}, {"disabled": True}])
def test_the_last_administrator_stays(admin: Caller, change: dict[str, object]) -> None:
    answer = admin.patch("/users/root", change)
    assert (answer.status_code, answer.json["code"]) == (409, "last_administrator")
    admin.patch("/users/ed", {"role": "admin"})
    assert admin.patch("/users/root", change).status_code == 200


def test_a_new_password_ends_the_other_logins(app: Flask, reader: Caller) -> None:
    other = log_in(app, "rita")
    assert reader.put("/users/me/password", {"old": "wrong", "new": "another long one"}).status_code == 403
    assert reader.put("/users/me/password", {"old": PASSWORD, "new": "another long one"}).status_code == 204
    assert reader.get("/auth/me").status_code == 200
    assert other.get("/auth/me").status_code == 401
    assert log_in(app, "rita", "another long one").get("/auth/me").status_code == 200


def test_groups_show_in_me_and_alone_are_no_rights(admin: Caller, reader: Caller) -> None:
    before = reader.get("/auth/me").json
    assert admin.post("/groups", {"name": "analysts"}).json["members"] == []
    assert admin.put("/groups/analysts/members/rita").status_code == 204
    assert admin.put("/groups/analysts/members/rita").status_code == 204
    assert admin.get("/groups/analysts").json["members"] == ["rita"]
    after = reader.get("/auth/me").json
    assert after["groups"] == ["analysts"]
    assert after["policy"] == before["policy"]
    assert admin.delete("/groups/analysts/members/rita").status_code == 204
    assert admin.delete("/groups/analysts/members/rita").status_code == 404
    assert reader.get("/auth/me").json["policy"] == before["policy"]
    assert admin.put("/groups/none/members/rita").status_code == 404
    assert reader.get("/groups").status_code == 403
