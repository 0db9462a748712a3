"""`/grants`: giving, seeing, explaining and taking back, and everything that is refused."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from werkzeug.test import TestResponse

from tests.api.lake import build_lake, give, lake_folder, new_grant, with_lake
from tests.conftest import PASSWORD, Caller, log_in

ROWS = "/data/datasets/transactions/rows"
EXPLAIN = "/grants/explain"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return with_lake(make_app())


@pytest.fixture
def mia(app: Flask, admin: Caller) -> Caller:
    """Somebody who may be made a manager."""
    return new_user(app, admin, "mia")


def new_user(app: Flask, admin: Caller, name: str) -> Caller:
    assert admin.post("/users", {"username": name, "password": PASSWORD, "role": "reader"}).status_code == 201
    return log_in(app, name)


def refused(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, (answer.json or {})["code"]


def without_request(answer: TestResponse) -> dict[str, Any]:
    return {name: value for name, value in (answer.json or {}).items() if name != "request_id"}


def countries(caller: Caller) -> set[str | None]:
    return {row["country"] for row in caller.get(f"{ROWS}?select=country").json["data"]}


def in_hours(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


# Giving, and what it gives


def test_a_grant_is_given_read_and_revoked_and_holds_from_the_next_request(admin: Caller, reader: Caller) -> None:
    assert reader.get(ROWS).status_code == 404
    body = new_grant(
        "rita",
        "transactions",
        "read",
        columns=["country", "user_name"],
        filter="country=eq.FR",
        masks={"user_name": "hash"},
        expires_at="2999-01-01T00:00:00Z",
    )
    answer = admin.post("/grants", body)
    assert answer.status_code == 201
    given = dict(answer.json or {})
    assert answer.headers["Location"] == f"/grants/{given['id']}"
    assert {name: given[name] for name in body} == body
    assert (given["path"], given["created_by"], given["sleeping"], given["is_partial"]) == (None, "root", False, False)
    assert given["created_at"].endswith("Z")
    assert admin.get(answer.headers["Location"]).json == given
    assert countries(reader) == {"FR"}
    assert set(reader.get(ROWS).json["data"][0]) == {"country", "user_name"}
    assert admin.delete(answer.headers["Location"]).status_code == 204
    assert reader.get(ROWS).status_code == 404
    assert admin.delete(answer.headers["Location"]).status_code == 404
    assert admin.get(answer.headers["Location"]).status_code == 404


def test_a_grant_on_a_folder_reaches_everything_below_it_and_nothing_beside(admin: Caller, reader: Caller) -> None:
    give(admin, "rita", "/sales")
    assert [row["name"] for row in reader.get("/data/datasets").json["data"]] == ["sales.orders", "sales.regions"]
    assert reader.get("/data/datasets/sales.orders/rows").status_code == 200
    assert reader.get("/data/datasets/stores/rows").status_code == 404


def test_a_folder_need_not_be_there_yet(app: Flask, admin: Caller, reader: Caller) -> None:
    give(admin, "rita", "/future")
    assert reader.get("/data/datasets").json["data"] == []
    shutil.copytree(lake_folder(app) / "stores", lake_folder(app) / "future" / "shops")
    assert [row["name"] for row in reader.get("/data/datasets").json["data"]] == ["future.shops"]


def test_a_folder_grant_admits_nothing_where_a_dataset_lacks_its_columns(admin: Caller, reader: Caller) -> None:
    give(admin, "rita", "/", filter="country=eq.FR", masks={"user_name": "hash"})
    assert [row["name"] for row in reader.get("/data/datasets").json["data"]] == ["transactions"]


def test_a_group_has_what_it_is_given_for_as_long_as_somebody_is_in_it(admin: Caller, reader: Caller) -> None:
    admin.post("/groups", {"name": "analysts"})
    give(admin, "analysts", "transactions")
    assert reader.get(ROWS).status_code == 404
    admin.put("/groups/analysts/members/rita")
    assert reader.get(ROWS).status_code == 200
    assert [row["principal"] for row in reader.get("/grants").json["data"]] == ["analysts"]
    admin.delete("/groups/analysts/members/rita")
    assert reader.get(ROWS).status_code == 404


def test_a_grant_ends_when_it_expires(app: Flask, admin: Caller, reader: Caller) -> None:
    given = give(admin, "rita", "transactions", expires_at=in_hours(1))
    assert reader.get(ROWS).status_code == 200
    expire(app, given["id"])
    assert reader.get(ROWS).status_code == 404


def expire(app: Flask, grant_id: int) -> None:
    with app.app_context(), app.extensions["sqlalchemy"].engine.begin() as connection:
        connection.execute(text("update grants set expires_at = '2020-01-01' where id = :id"), {"id": grant_id})


def test_grants_on_a_dataset_that_vanished_sleep_and_a_new_one_of_its_name_does_not_wake_them(
    app: Flask, admin: Caller, reader: Caller
) -> None:
    given = give(admin, "rita", "transactions")
    shutil.rmtree(lake_folder(app) / "transactions")
    assert refused(admin.post("/grants", new_grant("rita", "transactions"))) == (404, "not_found")
    assert reader.get(f"/grants/{given['id']}").json["sleeping"] is True
    build_lake_again(app)
    assert reader.get(ROWS).status_code == 404
    assert admin.get("/grants").json["data"][0]["sleeping"] is True
    give(admin, "rita", "transactions")
    assert reader.get(ROWS).status_code == 200
    assert [row["sleeping"] for row in admin.get("/grants").json["data"]] == [True, False]


def test_a_dataset_that_cannot_be_read_has_not_vanished(app: Flask, admin: Caller) -> None:
    for name in ("stores", "visits", "articles", "transactions"):
        give(admin, "rita", name)
    for file in (lake_folder(app) / "stores").iterdir():
        file.write_bytes(b"no Parquet")
    assert [row["sleeping"] for row in admin.get("/grants").json["data"]] == [False] * 4
    shutil.rmtree(lake_folder(app) / "stores")
    assert [row["sleeping"] for row in admin.get("/grants").json["data"]] == [True, False, False, False]


def build_lake_again(app: Flask) -> None:
    other = lake_folder(app).parent / "other"
    build_lake(other)
    shutil.move(other / "transactions", lake_folder(app) / "transactions")


def test_my_policy_changes_with_my_grants(app: Flask, admin: Caller, reader: Caller) -> None:
    seen = [reader.get("/auth/me").json["policy"]]
    given = give(admin, "rita", "transactions")
    seen.append(reader.get("/auth/me").json["policy"])
    other = give(admin, "rita", "/sales", expires_at=in_hours(1))
    seen.append(reader.get("/auth/me").json["policy"])
    assert len(set(seen)) == 3
    expire(app, other["id"])
    assert reader.get("/auth/me").json["policy"] == seen[1]
    admin.delete(f"/grants/{given['id']}")
    assert reader.get("/auth/me").json["policy"] == seen[0]


def policy(caller: Caller) -> str:
    return str(caller.get("/auth/me").json["policy"])


def test_who_has_the_same_rights_has_the_same_policy(app: Flask, admin: Caller, mia: Caller, reader: Caller) -> None:
    admin.post("/groups", {"name": "analysts"})
    admin.put("/groups/analysts/members/mia")
    assert policy(mia) == policy(reader)
    give(admin, "rita", "transactions", columns=["amount", "country"], filter="country=eq.FR")
    give(admin, "rita", "/sales", masks={"region": "hash", "id": "null"}, privileges=["read", "export"])
    give(admin, "analysts", "/sales", masks={"id": "null", "region": "hash"}, privileges=["export", "read"])
    assert policy(mia) != policy(reader)
    for name in ("mia", "analysts"):
        give(admin, name, "transactions", columns=["country", "amount"], filter="country=eq.FR")
    assert policy(mia) == policy(reader)
    again = new_grant("mia", "transactions", columns=["amount", "country"], filter="country=eq.FR")
    assert admin.post("/grants", again).status_code == 201
    assert policy(mia) == policy(reader)


def test_whatever_differs_in_rights_makes_another_policy(app: Flask, admin: Caller, mia: Caller) -> None:
    offers: list[dict[str, Any]] = [
        {},
        {"privileges": ["export"]},
        {"columns": ["amount"]},
        {"columns": ["amount", "country"]},
        {"filter": "country=eq.FR"},
        {"masks": {"country": "hash"}},
        {"masks": {"country": "null"}},
        {"expires_at": in_hours(1)},
    ]
    seen = [policy(mia)]
    for dataset in ("transactions", "stores", "/transactions"):
        for offer in offers if dataset == "transactions" else [{}]:
            given = give(admin, "mia", dataset, **offer)
            seen.append(policy(mia))
            admin.delete(f"/grants/{given['id']}")
    give(admin, "mia", "transactions")
    shutil.rmtree(lake_folder(app) / "transactions")
    build_lake_again(app)
    give(admin, "mia", "transactions")
    seen.append(policy(mia))
    admin.patch("/users/mia", {"role": "editor"})
    seen.append(policy(mia))
    assert len({*seen}) == len(seen)


def test_a_cursor_is_its_owners_also_where_another_has_the_same_rights(
    admin: Caller, mia: Caller, reader: Caller
) -> None:
    for name in ("mia", "rita"):
        for dataset in ("transactions", "stores"):
            give(admin, name, dataset)
    assert policy(mia) == policy(reader)
    for path in ("/data/datasets?limit=1", "/data/datasets/stores/rows?limit=1"):
        cursor = mia.get(path).json["next"]
        assert refused(reader.get(f"{path}&cursor={cursor}"))[0] == 400
        assert mia.get(f"{path}&cursor={cursor}").status_code == 200


def test_a_cursor_goes_on_when_rights_are_what_they_were(admin: Caller, reader: Caller) -> None:
    give(admin, "rita", "stores")
    given = give(admin, "rita", "transactions")
    path = "/data/datasets?limit=1"
    cursor = reader.get(path).json["next"]
    admin.delete(f"/grants/{given['id']}")
    assert refused(reader.get(f"{path}&cursor={cursor}"))[0] == 409
    give(admin, "rita", "transactions")
    assert [row["name"] for row in reader.get(f"{path}&cursor={cursor}").json["data"]] == ["transactions"]


def test_giving_and_revoking_are_recorded_and_told_to_administrators(admin: Caller, reader: Caller) -> None:
    given = give(admin, "rita", "transactions")
    admin.delete(f"/grants/{given['id']}")
    told = admin.get("/events?type=grant.*").json["data"]
    assert [event["type"] for event in told] == ["grant.given", "grant.revoked"]
    assert told[0]["subject"] == f"grants/{given['id']}"
    assert told[0]["data"]["principal"] == "rita"
    assert reader.get("/events?type=grant.*").json["data"] == []
    entries = admin.get("/audit?dataset=transactions&select=method,status&order=at").json["data"]
    assert entries == [{"method": "POST", "status": 201}, {"method": "DELETE", "status": 204}]


# Who may give


def test_who_sees_a_dataset_but_does_not_manage_it_is_refused(admin: Caller, reader: Caller) -> None:
    give(admin, "rita", "transactions", "read", "write", "export", "replay")
    assert refused(reader.post("/grants", new_grant("ed", "transactions"))) == (403, "forbidden")


@pytest.mark.parametrize("near", [False, True], ids=["seeing nothing", "seeing one of a near name"])
def test_a_hidden_dataset_is_an_absent_one(app: Flask, admin: Caller, reader: Caller, near: bool) -> None:
    if near:
        give(admin, "rita", "stores")
    body = new_grant("nobody at all", "transactions", columns=["nonsense"], masks={"nonsense": "year"})
    hidden = reader.post("/grants", body)
    asked = reader.post(EXPLAIN, {"dataset": "transactions"})
    of_another = reader.post(EXPLAIN, {"dataset": "transactions", "principal": "root"})
    shutil.rmtree(lake_folder(app) / "transactions")
    absent = reader.post("/grants", body)
    assert hidden.status_code == asked.status_code == of_another.status_code == 404
    assert without_request(hidden) == without_request(absent) == without_request(asked) == without_request(of_another)


@pytest.mark.parametrize("path", ["/", "/sales", "/nowhere", "/transactions", "/sales/orders", "/salesmen"])
def test_a_folder_that_is_not_managed_is_refused_whether_it_is_there_or_not(
    admin: Caller, mia: Caller, path: str
) -> None:
    give(admin, "mia", "sales.orders", "manage")
    give(admin, "mia", "/sales/eu", "manage")
    give(admin, "mia", "/", "read", "write")
    expected = without_request(mia.post("/grants", new_grant("rita", "/absent")))
    assert expected["status"] == 403
    assert without_request(mia.post("/grants", new_grant("rita", path))) == expected


def test_a_manager_of_a_folder_gives_on_it_and_on_what_is_below(admin: Caller, mia: Caller, reader: Caller) -> None:
    give(admin, "mia", "/sales", "manage")
    for target in ("/sales", "/sales/eu", "sales.orders"):
        assert give(mia, "rita", target)["created_by"] == "mia"
    assert reader.get("/data/datasets/sales.orders/rows").status_code == 200
    assert refused(mia.post("/grants", new_grant("rita", "transactions"))) == (404, "not_found")
    assert refused(mia.post("/grants", new_grant("rita", "/"))) == (403, "forbidden")


def test_who_may_manage_no_longer_may_not_give(app: Flask, admin: Caller, mia: Caller) -> None:
    given = give(admin, "mia", "/sales", "manage", expires_at=in_hours(1))
    expire(app, given["id"])
    assert refused(mia.post("/grants", new_grant("rita", "/sales"))) == (403, "forbidden")
    assert refused(mia.post("/grants", new_grant("rita", "sales.orders"))) == (404, "not_found")


# What cannot be given to anybody

BAD = {
    "both targets": ({"dataset": "transactions", "path": "/"}, "dataset"),
    "no target": ({"dataset": None}, "dataset"),
    "nobody of that name": ({"principal": "nobody"}, "principal"),
    "a name in other letters": ({"principal": "Rita"}, "principal"),
    "no privilege": ({"privileges": []}, "privileges"),
    "an unknown privilege": ({"privileges": ["read", "drop"]}, "privileges"),
    "no columns": ({"columns": []}, "columns"),
    "an unknown column": ({"columns": ["amonut"]}, "columns"),
    "columns in other letters": ({"columns": ["Amount"]}, "columns"),
    "an unknown mask": ({"masks": {"user_name": "blur"}}, "masks"),
    "a mask on what is no column": ({"masks": {"username": "hash"}}, "masks"),
    "a mask on a column that is not given": ({"columns": ["amount"], "masks": {"user_name": "hash"}}, "masks"),
    "the year of a text": ({"masks": {"user_name": "year"}}, "masks"),
    "the year of a number": ({"masks": {"user_id": "year"}}, "masks"),
    "a filter on what is no column": ({"filter": "contry=eq.FR"}, "filter"),
    "a filter with a value of another type": ({"filter": "user_id=eq.x"}, "filter"),
    "a filter with an unknown operator": ({"filter": "country=equals.FR"}, "filter"),
    "a filter that selects": ({"filter": "select=country"}, "filter"),
    "a filter that says nothing": ({"filter": "&"}, "filter"),
    "an empty filter": ({"filter": ""}, "filter"),
    "a filter of far too many conditions": ({"filter": "&".join(["user_id=gt.1"] * 200)}, "filter"),
    "a filter that is not UTF-8": ({"filter": "country=%ff"}, "filter"),
    "write of some rows": ({"privileges": ["write"], "filter": "country=eq.FR"}, "privileges"),
    "write of some columns": ({"privileges": ["read", "write"], "columns": ["country"]}, "privileges"),
    "write under masks": ({"privileges": ["write", "manage"], "masks": {"user_name": "hash"}}, "privileges"),
    "an end in the past": ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    "an end on a date": ({"expires_at": "2999-01-01"}, "expires_at"),
    "an end in no zone": ({"expires_at": "2999-01-01T00:00:00"}, "expires_at"),
    "an end at a number": ({"expires_at": 32503680000}, "expires_at"),
}


@pytest.mark.parametrize(("change", "field"), BAD.values(), ids=BAD)
def test_what_cannot_be_given_is_refused(admin: Caller, reader: Caller, change: dict[str, Any], field: str) -> None:
    answer = admin.post("/grants", {**new_grant("rita", "transactions"), **change})
    assert refused(answer) == (400, "invalid")
    assert answer.json["errors"][0]["field"].split(".")[0] == field
    assert admin.get("/grants").json["data"] == []


@pytest.mark.parametrize(
    ("change", "near"),
    [
        ({"principal": "ritta"}, "rita"),
        ({"principal": "analyst"}, "analysts"),
        ({"privileges": ["raed"]}, "read"),
        ({"columns": ["amonut"]}, "amount"),
        ({"filter": "contry=eq.FR"}, "country"),
        ({"masks": {"user_name": "hsah"}}, "hash"),
        ({"colums": ["amount"]}, "columns"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(admin: Caller, change: dict[str, Any], near: str) -> None:
    admin.post("/groups", {"name": "analysts"})
    answer = admin.post("/grants", {**new_grant("rita", "transactions"), **change})
    assert (answer.status_code, answer.json["did_you_mean"]) == (400, near)


PATHS = [
    "",
    "sales",
    "/sales/",
    "//sales",
    "/sales//eu",
    "/..",
    "/../etc",
    "/sales/../x",
    "/a.b",
    "/etc/pass.wd",
    "C:\\x",
]
TRICKS = [
    "/．．",
    "/a／b",
    "/sales\u200b",
    "/\u202elas",
    "/a\tb",
    "/_hidden",
    "/k=v",
    "/a\\b",
    "/a\u2024b",
    "/…",
    "/%2e%2e.",
]


@pytest.mark.parametrize("path", [*PATHS, *TRICKS])
def test_what_is_no_path_is_refused(admin: Caller, path: str) -> None:
    answer = admin.post("/grants", new_grant("rita", "/x") | {"path": path})
    assert refused(answer) == (400, "invalid")
    assert answer.json["errors"][0]["field"] == "path"


def test_a_path_with_nul_is_refused(admin: Caller) -> None:
    assert refused(admin.post("/grants", new_grant("rita", "/a\x00b"))) == (400, "invalid")


@pytest.mark.parametrize("path", ["/", "/sales", "/Sales and more", "/été/東京", "/a-b/c_d/e"])
def test_a_folder_may_have_any_plain_name(admin: Caller, path: str) -> None:
    assert give(admin, "rita", path)["path"] == path


@pytest.mark.parametrize("text", ["country=zz.FR", "or=(a)", "or=(a.eq.1", "=eq.1", "&", "in.(1", "a=in.1"])
def test_the_filter_of_a_folder_grant_must_be_one(admin: Caller, text: str) -> None:
    answer = admin.post("/grants", new_grant("rita", "/sales", filter=text))
    assert refused(answer) == (400, "invalid")
    assert answer.json["errors"][0]["field"] == "filter"


def test_a_folder_grant_holds_by_the_types_of_each_dataset(admin: Caller, reader: Caller) -> None:
    give(admin, "rita", "/", filter="is_open=is.true&store_id=lt.10&or=(name.like.Store*,area.not.gt.3)")
    rows = reader.get("/data/datasets/stores/rows?select=store_id&order=store_id").json["data"]
    assert [row["store_id"] for row in rows] == [1, 2, 3, 5, 6, 7, 9]


# Nobody passes on more than he has

OWN = {"columns": ["amount", "country", "user_name"], "filter": "country=eq.FR", "masks": {"user_name": "hash"}}
NARROWER = {
    "the same": OWN,
    "fewer columns": OWN | {"columns": ["amount"], "masks": {}},
    "a stronger mask": OWN | {"masks": {"user_name": "null"}},
    "one more mask": OWN | {"masks": {"user_name": "null", "country": "hash"}},
    "another condition": OWN | {"filter": "amount=gt.100&country=eq.FR"},
    "conditions in a group": OWN | {"filter": "and=(country.eq.FR,or(amount.gt.5,amount.lt.2))"},
    "conditions beside a group": OWN | {"filter": "amount=gt.1&and=(country.eq.FR,amount.lt.400)"},
    "the same condition in other words": OWN | {"filter": "country=FR"},
    "an end": OWN | {"expires_at": "2999-01-01T00:00:00Z"},
}
WIDER = {
    "all columns": ({"filter": "country=eq.FR"}, "columns"),
    "one more column": (OWN | {"columns": ["amount", "country", "status"], "masks": {}}, "columns"),
    "no mask": (OWN | {"masks": {}}, "masks"),
    "a weaker mask": (OWN | {"masks": {"user_name": "last4"}}, "masks"),
    "no filter": (OWN | {"filter": None}, "filter"),
    "another filter": (OWN | {"filter": "country=eq.DE"}, "filter"),
    "any of his conditions": (OWN | {"filter": "or=(country.eq.FR,amount.gt.5)"}, "filter"),
    "not his condition": (OWN | {"filter": "country=not.eq.FR"}, "filter"),
}


@pytest.fixture
def narrow(admin: Caller, mia: Caller) -> Caller:
    """A manager of a part; he sees another part, too, but does not manage it."""
    give(admin, "mia", "transactions", "manage", **OWN)
    give(admin, "mia", "transactions", "read", columns=["status", "user_name"])
    return mia


@pytest.mark.parametrize("offer", NARROWER.values(), ids=NARROWER)
def test_a_manager_of_a_part_passes_on_that_part_or_less(narrow: Caller, reader: Caller, offer: dict[str, Any]) -> None:
    give(narrow, "rita", "transactions", "read", "manage", **offer)
    assert reader.get(ROWS).status_code == 200


@pytest.mark.parametrize(("offer", "part"), WIDER.values(), ids=WIDER)
def test_a_manager_of_a_part_passes_on_no_more(narrow: Caller, offer: dict[str, Any], part: str) -> None:
    answer = narrow.post("/grants", new_grant("rita", "transactions", **offer))
    if part == "columns" and "status" in str(offer):
        assert refused(answer) == (400, "invalid")  # his grant to read it does not let him manage it
        return
    assert refused(answer) == (403, "forbidden")
    assert part in [error["field"] for error in answer.json["errors"]]


def test_a_manager_of_a_part_cannot_ask_for_what_is_hidden_or_masked(narrow: Caller) -> None:
    def asked(condition: str) -> TestResponse:
        return narrow.post("/grants", new_grant("rita", "transactions", **OWN | {"filter": f"country=FR&{condition}"}))

    masked, hidden, absent = asked("user_name=like.A*"), asked("status=eq.x"), asked("statue=eq.x")
    assert [refused(each) for each in (masked, hidden, absent)] == [(400, "invalid")] * 3
    assert "masked for you" in masked.json["detail"]
    assert str(hidden.json["detail"]).replace("status", "") == str(absent.json["detail"]).replace("statue", "")


def test_write_is_passed_on_by_who_manages_all_of_it_only(admin: Caller, narrow: Caller) -> None:
    assert refused(narrow.post("/grants", new_grant("rita", "transactions", "write"))) == (403, "forbidden")
    give(admin, "mia", "/", "manage")
    give(narrow, "rita", "transactions", "write")


def test_manage_of_a_part_is_no_write(narrow: Caller) -> None:
    allowed = {
        privilege: narrow.post(EXPLAIN, {"dataset": "transactions", "privilege": privilege}).json["allowed"]
        for privilege in ("read", "write", "export", "replay", "manage")
    }
    assert allowed == {"read": True, "write": False, "export": True, "replay": True, "manage": True}


def test_two_parts_are_not_passed_on_as_one(admin: Caller, mia: Caller) -> None:
    give(admin, "mia", "transactions", "manage", columns=["amount", "country"], filter="country=eq.FR")
    give(admin, "mia", "transactions", "manage", columns=["status", "country"], filter="country=eq.DE")
    both = new_grant("rita", "transactions", columns=["amount", "status"], filter="country=eq.FR")
    assert refused(mia.post("/grants", both)) == (403, "forbidden")
    # What one of them hides cannot be told apart by a condition either.
    oracle = new_grant("rita", "transactions", columns=["amount"], filter="country=eq.FR&status=eq.pending")
    answer = mia.post("/grants", oracle)
    assert refused(answer) == (403, "forbidden")
    assert "status" in answer.json["detail"]
    give(mia, "rita", "transactions", columns=["status"], filter="country=eq.DE&status=eq.pending")


def test_a_filter_on_what_its_manager_does_not_see_is_passed_on_as_it_is(
    admin: Caller, mia: Caller, reader: Caller
) -> None:
    give(admin, "mia", "transactions", "manage", columns=["amount"], filter="user_id=lte.2&country=eq.FR")
    give(mia, "rita", "transactions", columns=["amount"], filter="country=eq.FR&user_id=lte.2&amount=gt.0")
    assert reader.get(ROWS).status_code == 200
    other = new_grant("rita", "transactions", columns=["amount"], filter="country=eq.FR&user_id=lte.2&user_id=eq.1")
    assert refused(mia.post("/grants", other)) == (400, "invalid")


def test_nobody_gives_for_longer_than_he_has(admin: Caller, mia: Caller) -> None:
    give(admin, "mia", "/sales", "manage", expires_at=in_hours(2))
    give(mia, "rita", "/sales/eu", expires_at=in_hours(1))
    for target in ("/sales", "sales.orders"):
        for end in (None, in_hours(3)):
            answer = mia.post("/grants", new_grant("rita", target, expires_at=end))
            assert refused(answer) == (403, "forbidden")
            assert [error["field"] for error in answer.json["errors"]] == ["expires_at"]


def test_a_manager_of_a_part_of_a_folder_passes_on_that_part(admin: Caller, mia: Caller, reader: Caller) -> None:
    give(admin, "mia", "/", "manage", filter="country=eq.FR", masks={"customer": "hash"})
    offer: dict[str, Any] = {"filter": "total=gt.6&country=eq.FR", "masks": {"customer": "null"}}
    for target in ("/sales", "sales.orders"):
        give(mia, "rita", target, **offer)
        assert refused(mia.post("/grants", new_grant("rita", target, **offer | {"filter": "total=gt.6"})))[0] == 403
        assert refused(mia.post("/grants", new_grant("rita", target, **offer | {"masks": {}})))[0] == 403
    rows = reader.get("/data/datasets/sales.orders/rows").json["data"]
    assert {(row["customer"], row["country"]) for row in rows} == {(None, "FR")}
    # Where the masked column is lacking his own grant admits nothing, and so must what he gives.
    without = new_grant("rita", "/", filter="country=eq.FR", columns=["country"])
    assert refused(mia.post("/grants", without)) == (403, "forbidden")


def test_a_grant_that_admits_nothing_here_passes_nothing_on(admin: Caller, mia: Caller) -> None:
    give(admin, "mia", "stores", "manage", columns=["name"], filter="country=eq.FR")
    give(admin, "mia", "/", "manage", masks={"no_such_column": "hash"})
    answer = mia.post("/grants", new_grant("rita", "stores", columns=["name"]))
    assert refused(answer) == (403, "forbidden")


# Who sees grants, and who takes them back


def test_who_manages_sees_and_revokes_the_grants_on_it(admin: Caller, mia: Caller, editor: Caller) -> None:
    give(admin, "mia", "/sales", "manage")
    given = [give(admin, "rita", target) for target in ("/sales", "/sales/eu", "sales.orders", "/", "transactions")]
    ids = [each["id"] for each in given]
    assert [row["id"] for row in mia.get("/grants?principal=rita").json["data"]] == ids[:3]
    assert editor.get("/grants").json["data"] == []
    assert {mia.delete(f"/grants/{each}").status_code for each in ids[:3]} == {204}
    for each in ids[3:]:
        assert without_request(mia.delete(f"/grants/{each}")) == without_request(mia.delete("/grants/999999"))
        assert mia.get(f"/grants/{each}").status_code == 404
    assert [row["id"] for row in admin.get("/grants?principal=rita").json["data"]] == ids[3:]


def test_a_manager_of_a_dataset_sees_the_grants_on_this_one_only(app: Flask, admin: Caller, mia: Caller) -> None:
    give(admin, "rita", "transactions")
    shutil.rmtree(lake_folder(app) / "transactions")
    build_lake_again(app)
    give(admin, "mia", "transactions", "manage")
    give(admin, "rita", "transactions")
    assert [row["sleeping"] for row in mia.get("/grants?principal=rita").json["data"]] == [False]


def test_one_sees_his_own_grants_and_cannot_revoke_them(admin: Caller, reader: Caller) -> None:
    give(admin, "ed", "transactions")
    mine = give(admin, "rita", "transactions", filter="status=eq.completed", columns=["amount"])
    assert reader.get("/grants").json["data"] == [mine]
    assert refused(reader.delete(f"/grants/{mine['id']}")) == (403, "forbidden")
    assert reader.get(ROWS).status_code == 200


def test_grants_are_listed_by_principal_dataset_and_path(admin: Caller) -> None:
    for principal, target in (("rita", "/sales"), ("ed", "/sales"), ("ed", "stores"), ("ed", "/sales_2")):
        give(admin, principal, target)

    def found(query: str) -> list[tuple[str, str | None, str | None]]:
        rows = admin.get(f"/grants?{query}").json["data"]
        return [(row["principal"], row["dataset"], row["path"]) for row in rows]

    assert found("path=/sales") == [("rita", None, "/sales"), ("ed", None, "/sales")]
    assert found("dataset=stores") == [("ed", "stores", None)]
    assert found("principal=ed&path=not.is.null&limit=1") == [("ed", None, "/sales")]
    assert admin.get("/grants?select=id,columns&limit=1").json["data"] == [{"id": 1, "columns": None}]
    first = admin.get("/grants?limit=3")
    assert first.headers["Link"]
    assert [row["path"] for row in admin.get(first.json["next_url"]).json["data"]] == ["/sales_2"]


def test_a_folder_is_not_one_whose_name_only_begins_so(admin: Caller, mia: Caller) -> None:
    give(admin, "mia", "/a_b", "manage")
    give(admin, "rita", "/a_bc")
    give(admin, "rita", "/axb/c")
    give(admin, "rita", "/A_B")
    assert mia.get("/grants?principal=rita").json["data"] == []


def test_a_manager_of_a_part_reads_no_hidden_names_in_the_grants_of_others(admin: Caller, narrow: Caller) -> None:
    given = give(
        admin,
        "rita",
        "transactions",
        columns=["amount", "status", "user_name"],
        masks={"status": "hash", "user_name": "hash"},
        filter="user_name=like.A*&country=eq.FR",
    )
    open_one = give(admin, "rita", "transactions", columns=["amount"], filter="country=eq.DE")
    seen = narrow.get(f"/grants/{given['id']}").json
    assert (seen["columns"], seen["masks"], seen["filter"]) == (["amount", "user_name"], {"user_name": "hash"}, None)
    assert seen["is_partial"] is True
    assert "status" not in narrow.get("/grants?principal=rita").get_data(as_text=True)
    assert narrow.get(f"/grants/{open_one['id']}").json == open_one
    assert narrow.get("/grants?filter=like.*status*").status_code == 400


# Explaining


def test_it_explains_what_is_allowed_by_which_grants_and_on_what_view(admin: Caller, reader: Caller) -> None:
    one = give(admin, "rita", "transactions", columns=["amount", "country"], filter="country=eq.FR")
    two = give(admin, "rita", "/", "export", filter="country=eq.DE", masks={"user_name": "hash", "timestamp": "year"})
    answer = reader.post(EXPLAIN, {"dataset": "transactions"}).json
    assert (answer["allowed"], answer["grants"]) == (True, [one["id"], two["id"]])
    assert answer["view"]["filter"] == "(country=eq.FR) or (country=eq.DE)"
    assert answer["view"]["is_whole"] is False
    columns = {column["name"]: column for column in answer["view"]["columns"]}
    assert columns["user_name"] == {"name": "user_name", "type": "text", "mask": "hash"}
    assert columns["timestamp"] == {"name": "timestamp", "type": "integer", "mask": "year"}
    assert columns["amount"] == {"name": "amount", "type": "number", "mask": None}
    exported = reader.post(EXPLAIN, {"dataset": "transactions", "privilege": "export"}).json
    assert (exported["grants"], exported["view"]["filter"]) == ([two["id"]], "country=eq.DE")


def test_it_explains_what_is_refused(admin: Caller, reader: Caller) -> None:
    given = give(admin, "rita", "transactions", columns=["amount"])
    written = reader.post(EXPLAIN, {"dataset": "transactions", "privilege": "write"}).json
    assert (written["allowed"], written["grants"], written["view"]) == (False, [given["id"]], None)
    assert "write" in written["reason"]
    for column in ("status", "no_such_column"):
        answer = reader.post(EXPLAIN, {"dataset": "transactions", "columns": ["amount", column]}).json
        assert (answer["allowed"], answer["reason"]) == (False, f"The view has no column '{column}'")
    assert reader.post(EXPLAIN, {"dataset": "transactions", "columns": ["amount"]}).json["allowed"] is True
    assert reader.post(EXPLAIN, {"dataset": "transactions", "privilege": "raed"}).status_code == 400


def test_who_manages_may_ask_about_others(admin: Caller, mia: Caller, reader: Caller) -> None:
    body = {"dataset": "transactions", "principal": "mia"}
    give(admin, "rita", "transactions")
    assert refused(reader.post(EXPLAIN, body)) == (403, "forbidden")
    assert reader.post(EXPLAIN, body | {"principal": "rita"}).json["allowed"] is True
    assert admin.post(EXPLAIN, body).json["allowed"] is False
    admin.post("/groups", {"name": "analysts"})
    admin.put("/groups/analysts/members/mia")
    given = give(admin, "analysts", "/")
    for principal in ("mia", "analysts"):
        answer = admin.post(EXPLAIN, body | {"principal": principal}).json
        assert (answer["allowed"], answer["grants"], answer["view"]["is_whole"]) == (True, [given["id"]], True)
    by_role = admin.post(EXPLAIN, {"dataset": "transactions"}).json
    assert (by_role["reason"], by_role["grants"]) == ("Allowed: the role admin gives read", [])
    assert admin.post(EXPLAIN, body | {"principal": "nobody"}).status_code == 400
    admin.patch("/users/mia", {"disabled": True})
    assert admin.post(EXPLAIN, body).json["reason"] == "The user is disabled"


def test_a_manager_of_a_part_is_told_of_others_no_more_than_he_sees(admin: Caller, narrow: Caller) -> None:
    give(admin, "rita", "transactions", filter="status=eq.completed")
    body = {"dataset": "transactions", "principal": "rita"}
    answer = narrow.post(EXPLAIN, body)
    assert [column["name"] for column in answer.json["view"]["columns"]] == ["user_name", "amount", "country"]
    assert "status" not in answer.get_data(as_text=True)
    assert narrow.post(EXPLAIN, body | {"columns": ["status"]}).json["allowed"] is False


def test_a_quarantine_is_reached_by_a_grant_on_itself_or_by_manage(admin: Caller, mia: Caller, reader: Caller) -> None:
    body = {"dataset": "transactions_quarantine"}
    give(admin, "rita", "/")
    assert reader.post(EXPLAIN, body).status_code == 404
    give(admin, "mia", "/", "manage", filter="topic=eq.transactions")
    assert mia.post(EXPLAIN, body).json["allowed"] is True
    give(mia, "rita", "transactions_quarantine", filter="topic=eq.transactions")
    assert reader.post(EXPLAIN, body).json["allowed"] is True
