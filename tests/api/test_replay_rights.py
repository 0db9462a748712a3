"""Who may replay what: nothing is sent, and nothing told, beyond what somebody sees unmasked."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from rest_api.database import create_engine_for
from tests.api.lake import give
from tests.api.replaying import QUARANTINED, TABLE, Hand, asked, row_of, verdicts, with_transactions
from tests.conftest import Caller, log_in

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ONE, ALL = "/transactions/t0005/replay", "/transactions/replay"
NARROW = (403, "view_too_narrow")
NOT_FOUND = (404, "not_found")
FORBIDDEN = (403, "forbidden")


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    app = make_app()
    return with_transactions(app, log_in(app, "root"))


@pytest.fixture
def hand(app: Flask, database_url: str) -> Iterator[Hand]:
    engine = create_engine_for(database_url)
    yield Hand(app, engine)
    engine.dispose()


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


def near(answer: Any) -> str | None:
    """The name that a refusal suggests."""
    found: str | None = answer.json.get("did_you_mean")
    return found


def test_without_a_grant_there_are_no_transactions_and_with_read_alone_no_replay(admin: Caller, reader: Caller) -> None:
    assert refused(reader.post(ONE)) == refused(reader.post(ALL)) == NOT_FOUND
    give(admin, "rita", "transactions", "read", "export", "write")
    assert refused(reader.post(ONE)) == refused(reader.post(ALL)) == FORBIDDEN


def test_replay_alone_sends_one_as_it_is_and_write_besides_corrections_and_all(
    admin: Caller, reader: Caller, hand: Hand
) -> None:
    give(admin, "rita", "transactions", "replay")
    replay = asked(reader.post(ONE))
    assert refused(reader.post(ONE, {"corrections": {"amount": 1}})) == FORBIDDEN
    assert refused(reader.post(ALL)) == refused(reader.post(ALL, {"where": {"user_id": {"eq": 1}}})) == FORBIDDEN
    asked(reader.post(ONE, {"corrections": {}}))
    give(admin, "rita", "transactions", "write")
    hand.work()
    assert verdicts(reader, replay) == {"matched": 1}
    asked(reader.post(ONE, {"corrections": {"amount": 1}}))
    asked(reader.post(ALL))


def test_a_row_out_of_sight_is_as_if_it_were_not_there(admin: Caller, reader: Caller) -> None:
    give(admin, "rita", "transactions", "replay", filter="country=FR")
    give(admin, "rita", QUARANTINED, "replay")
    hidden, absent = reader.post("/transactions/t0001/replay"), reader.post("/transactions/t9999/replay")
    assert refused(hidden) == refused(absent) == NOT_FOUND
    assert hidden.json["detail"] == absent.json["detail"]
    asked(reader.post(ONE))


def test_a_view_without_a_column_or_with_a_mask_is_too_narrow(admin: Caller, reader: Caller) -> None:
    columns = [each["name"] for each in admin.get(TABLE).json["columns"]]
    narrow: tuple[dict[str, Any], ...] = (
        {"columns": [name for name in columns if name != "user_name"]},
        {"masks": {"user_name": "hash"}},
        {"masks": {"original_timestamp": "null"}},
    )
    for part in narrow:
        grant = give(admin, "rita", "transactions", "replay", **part)
        assert refused(reader.post(ONE)) == NARROW, part
        assert refused(reader.post("/transactions/t9999/replay")) == NOT_FOUND
        assert admin.delete(f"/grants/{grant['id']}").status_code == 204


def test_who_does_not_see_ids_is_not_told_which_there_are(admin: Caller, reader: Caller) -> None:
    for part in ({"columns": ["amount", "country"]}, {"masks": {"transaction_id": "hash"}}):
        grant = give(admin, "rita", "transactions", "replay", **part)
        there, absent = reader.post(ONE), reader.post("/transactions/t9999/replay")
        assert refused(there) == refused(absent) == NARROW
        assert there.json["detail"] == absent.json["detail"]
        assert admin.delete(f"/grants/{grant['id']}").status_code == 204


def test_a_column_that_is_given_in_some_rows_is_enough_for_those(admin: Caller, reader: Caller) -> None:
    give(admin, "rita", "transactions", "replay", masks={"user_name": "hash"})
    give(admin, "rita", "transactions", "replay", filter="country=FR")
    give(admin, "rita", "transactions", "write")
    asked(reader.post(ONE))
    assert refused(reader.post("/transactions/t0001/replay")) == NARROW
    asked(reader.post(ALL, {"where": {"country": {"eq": "FR"}}}))
    assert refused(reader.post(ALL)) == NARROW
    assert refused(reader.post(ALL, {"where": {"country": {"in": ["FR", "DE"]}}})) == NARROW


def test_a_hidden_column_is_an_unknown_one_in_filters_and_corrections(admin: Caller, reader: Caller) -> None:
    columns = [each["name"] for each in admin.get(TABLE).json["columns"] if each["name"] != "user_name"]
    give(admin, "rita", "transactions", "replay", columns=columns)
    give(admin, "rita", "transactions", "write")
    for body in ({"corrections": {"user_name": "x"}}, {"corrections": {"user_nmae": "x"}}):
        answer = reader.post(ONE, body)
        assert refused(answer) == (400, "invalid")
        assert near(answer) != "user_name"
    answer = reader.post(ALL, {"where": {"user_name": {"eq": "x"}}})
    assert refused(answer) == (400, "invalid")
    assert near(answer) != "user_name"


def test_the_quarantine_needs_replay_too(admin: Caller, reader: Caller, hand: Hand) -> None:
    event = "/transactions/q2/replay"
    give(admin, "rita", "/", "replay")
    absent = reader.post("/transactions/q9/replay")
    assert refused(reader.post(event)) == refused(absent) == NOT_FOUND
    give(admin, "rita", QUARANTINED, "read")
    assert reader.post(event).json["detail"] == absent.json["detail"]
    give(admin, "rita", QUARANTINED, "replay", masks={"topic": "hash"})
    assert refused(reader.post(event)) == NARROW
    give(admin, "rita", QUARANTINED, "replay")
    assert refused(reader.post(event, {"corrections": {"amount": 1}})) == FORBIDDEN
    replay = asked(reader.post(event))
    hand.work()
    assert verdicts(reader, replay) == {"matched": 1}


def test_who_sees_a_part_of_the_transactions_learns_nothing_of_others_by_way_of_the_quarantine(
    admin: Caller, reader: Caller
) -> None:
    give(admin, "rita", "transactions", "replay", filter="country=FR")
    give(admin, "rita", QUARANTINED, "replay")
    assert refused(reader.post("/transactions/q2/replay")) == NOT_FOUND


def test_rights_that_end_before_the_job_runs_send_nothing(admin: Caller, reader: Caller, hand: Hand) -> None:
    grant = give(admin, "rita", "transactions", "replay")
    answer, before = reader.post(ONE), row_of(admin, "t0005")
    assert admin.delete(f"/grants/{grant['id']}").status_code == 204
    give(admin, "rita", "transactions", "replay", masks={"user_name": "hash"})
    hand.work()
    job = reader.get(answer.headers["Location"]).json
    assert (job["state"], job["problem"]["code"]) == ("failed", "policy_changed")
    assert row_of(admin, "t0005") == before
    assert verdicts(reader, asked(answer)) == {}


def test_write_that_ends_before_the_job_runs_ends_corrections_too(admin: Caller, reader: Caller, hand: Hand) -> None:
    give(admin, "rita", "transactions", "replay")
    give(admin, "rita", QUARANTINED, "replay")
    grant = give(admin, "rita", "transactions", "write")
    answers = [
        reader.post(ONE, {"corrections": {"amount": 1}}),
        reader.post("/transactions/q1/replay", {"corrections": {"amount": 1}}),
    ]
    assert admin.delete(f"/grants/{grant['id']}").status_code == 204
    hand.work()
    jobs = [reader.get(answer.headers["Location"]).json for answer in answers]
    assert [(job["state"], job["problem"]["code"]) for job in jobs] == [("failed", "forbidden")] * 2


def test_a_disabled_owner_s_replay_is_not_run(admin: Caller, reader: Caller, hand: Hand) -> None:
    give(admin, "rita", "transactions", "replay")
    path = reader.post(ONE).headers["Location"]
    assert admin.patch("/users/rita", {"disabled": True}).status_code == 200
    hand.work()
    assert admin.get(path).json["problem"]["code"] == "forbidden"


def test_a_replay_is_its_owner_s_and_administrators(admin: Caller, reader: Caller, editor: Caller) -> None:
    grant = give(admin, "rita", "transactions", "replay")
    give(admin, "ed", "transactions", "replay")
    replay = asked(reader.post(ONE))
    assert [each["id"] for each in reader.get("/replays").json["data"]] == [replay]
    assert [each["id"] for each in admin.get("/replays").json["data"]] == [replay]
    assert editor.get("/replays").json["data"] == []
    for path in (f"/replays/{replay}", f"/replays/{replay}/events"):
        assert reader.get(path).status_code == admin.get(path).status_code == 200
        others, absent = editor.get(path), editor.get(path.replace(replay, replay[::-1]))
        assert refused(others) == refused(absent) == NOT_FOUND
    assert editor.get("/replays/x").status_code == 404
    assert admin.delete(f"/grants/{grant['id']}").status_code == 204
    assert refused(reader.get(f"/replays/{replay}")) == NOT_FOUND
    assert refused(reader.get(f"/replays/{replay}/events")) == NOT_FOUND


def test_an_answer_under_a_key_is_repeated_only_to_who_may_still(admin: Caller, reader: Caller) -> None:
    key = {"Idempotency-Key": "once"}
    grant = give(admin, "rita", "transactions", "replay")
    asked(reader.post(ONE, headers=key))
    assert admin.delete(f"/grants/{grant['id']}").status_code == 204
    assert refused(reader.post(ONE, headers=key)) == NOT_FOUND
