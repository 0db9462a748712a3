"""The WSO2 route on a real Apache Synapse, seen from its clients, from base A and from base B.

It is killed twice at moments chosen by LAKEPORT_SEED; with LAKEPORT_FULL=1 twenty times.
"""

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.integration.bases import times_created
from tests.integration.synapse.core_door import Answer, Behaviour, Call, answering, faithful, short_lived, slow
from tests.integration.synapse.running import Synapse
from tests.live import call
from tests.servers import free_port

KILLS = 20 if os.environ.get("LAKEPORT_FULL") == "1" else 2
CHANCE = random.Random(os.environ.get("LAKEPORT_SEED", "1"))
ODD_TEXTS = {
    5001: "quotes \" ' \\ $1 \\1 ${CORE_URL} &amp; <b> ]]> \t\r\n",
    5002: "emoji 👩‍👩‍👧 é \u2028 \u0085 \u007f \ufffe \uffff \U0010ffff",
    5003: '{"op": "delete"}',
}


@pytest.fixture
def synapse(running_synapse: Synapse) -> Iterator[Synapse]:
    """The session's Synapse with an open and faithful door to the core; in step when the test begins."""
    yield running_synapse
    running_synapse.door.behaviour = faithful
    running_synapse.door.open()
    if not running_synapse.is_running:
        running_synapse.start()
    running_synapse.wait_until_in_step()


def upsert(synapse: Synapse, key: str, version: int, **more: Any) -> dict[str, Any]:
    """A change as base A's systems send it."""
    names = {"op": "upsert", "origin": synapse.origin, "external_id": key, "external_version": version}
    return {**names, "title": f"title {version}", "content": "text", **more}


def outcomes(answer: tuple[int, str]) -> list[str]:
    """What became of each operation, by the core's answer."""
    status, text = answer
    assert status == 200, text
    return [each["outcome"] for each in json.loads(text)["data"]]


# What base A's systems send


@pytest.mark.parametrize("path", ["/lakeport/articles", "/services/ArticlesSync"])
@pytest.mark.scenario("insert", "synapse")
@pytest.mark.scenario("update", "synapse")
@pytest.mark.scenario("delete", "synapse")
@pytest.mark.scenario("delivered_twice", "synapse")
@pytest.mark.scenario("older_after_newer", "synapse")
@pytest.mark.scenario("unchanged", "synapse")
def test_a_client_is_answered_by_the_core_row_by_row(synapse: Synapse, path: str) -> None:
    key = path.replace("/", "-")
    changes = [upsert(synapse, key, version) for version in (1, 3, 2, 3)]
    changes.append({"op": "delete", "origin": synapse.origin, "external_id": key, "external_version": 4})
    changes.append(upsert(synapse, key, 3))
    assert outcomes(synapse.send({"operations": changes[:4]}, path)) == ["created", "updated", "stale", "unchanged"]
    assert synapse.articles()[key] == ("title 3", "text")
    assert outcomes(synapse.send({"operations": changes[4:]}, path)) == ["deleted", "stale"]
    assert key not in synapse.articles()


@pytest.mark.scenario("strange_text", "synapse")
def test_a_clients_body_reaches_the_core_as_it_was_sent(synapse: Synapse) -> None:
    changes = [upsert(synapse, f"odd-{key}", 1, content=words) for key, words in ODD_TEXTS.items()]
    body = json.dumps({"operations": changes}, ensure_ascii=False, indent=1).encode()
    assert outcomes(synapse.send(body)) == ["created"] * len(ODD_TEXTS)
    assert synapse.door.batches[-1].body == body
    assert {key: synapse.articles()[f"odd-{key}"][1] for key in ODD_TEXTS} == ODD_TEXTS


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        pytest.param(b"{", 400, "invalid", marks=pytest.mark.scenario("not_json", "synapse")),
        pytest.param(b"", 400, "invalid"),
        pytest.param(b'{"operations": 5}', 400, "invalid", marks=pytest.mark.scenario("wrong_schema", "synapse")),
        pytest.param(
            b'{"operations": [{"op": "truncate"}]}',
            200,
            "invalid",
            marks=pytest.mark.scenario("unknown_operation", "synapse"),
        ),
        pytest.param(
            b'{"operations": [{"op": "upsert", "origin": "a", "external_id": null, "external_version": 1}]}',
            200,
            "invalid",
            marks=pytest.mark.scenario("null_key", "synapse"),
        ),
        pytest.param(
            b'{"operations": [{"op": "delete", "origin": "a", "external_id": "1", "external_version": 1e99}]}',
            200,
            "invalid",
            marks=pytest.mark.scenario("no_version", "synapse"),
        ),
    ],
)
def test_what_the_core_refuses_is_the_clients_answer_and_is_not_stored(
    synapse: Synapse, body: bytes, status: int, says: str
) -> None:
    stored = synapse.events("articles.stored")
    answered, text = synapse.send(body)
    assert (answered, says in text) == (status, True), text
    assert synapse.events("articles.stored") == stored


@pytest.mark.scenario("five_megabytes", "synapse")
def test_five_megabytes_pass_and_the_good_row_beside_them_is_applied(synapse: Synapse) -> None:
    rows = [upsert(synapse, "huge", 1, content="x" * 5_000_000), upsert(synapse, "beside", 1)]
    answer = synapse.send({"operations": rows})
    assert outcomes(answer) == ["created"]
    assert [each["index"] for each in json.loads(answer[1])["errors"]] == [0]


@pytest.mark.parametrize("path", ["/lakeport/articles", "/services/ArticlesSync", "/lakeport/stored"])
def test_nobody_comes_in_without_the_key(synapse: Synapse, path: str) -> None:
    calls = len(synapse.door.calls)
    body = {"operations": [upsert(synapse, "forged", 1)]}
    for headers in ({}, {"X-Lakeport-Key": "guess"}, {"X-Lakeport-Key": ""}):
        status, text, _ = call("POST", synapse.url + path, body, headers)
        assert (status, json.loads(text)["code"]) == (401, "unauthenticated")
    assert len(synapse.door.calls) == calls


@pytest.mark.parametrize("media_type", ["application/xml", "text/xml", "application/soap+xml"])
def test_no_entity_of_a_body_in_xml_is_read(synapse: Synapse, tmp_path: Path, media_type: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("what nobody may read")
    body = (
        f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{secret}">]>'
        '<text xmlns="http://ws.apache.org/commons/ns/payload">&e;</text>'
    ).encode()
    calls = len(synapse.door.calls)
    for headers in ({}, {"X-Lakeport-Key": synapse.key}):
        content = {"Content-Type": media_type, **headers}
        status, text, _ = call("POST", f"{synapse.url}/lakeport/articles", body, content)
        assert status >= 400
        assert "nobody" not in text
    assert [each.body for each in synapse.door.calls[calls:] if b"nobody" in each.body] == []


def test_only_what_the_route_itself_sealed_comes_back_into_it(synapse: Synapse) -> None:
    body = json.dumps({"operations": [upsert(synapse, "forged", 1)]})
    for sealed in (body, f"{'0' * 64}\n{body}", "\n" * 65, "0" * 64, ""):
        assert synapse.send(sealed.encode(), "/lakeport/stored", **{"Content-Type": "text/plain"})[0] == 401
    assert "forged" not in synapse.articles()


def test_the_core_is_given_the_routes_own_token_and_nothing_of_the_clients_headers(synapse: Synapse) -> None:
    forged = {"Authorization": "Bearer of the client", "X-Forwarded-For": "10.0.0.1"}
    assert synapse.send({"operations": [upsert(synapse, "headers", 1)]}, **forged)[0] == 200
    assert set(synapse.door.batches[-1].headers) == {"Authorization", "Content-Type"}
    assert "client" not in synapse.door.batches[-1].headers["Authorization"]


# What the task finds in base A


@pytest.mark.scenario("insert", "synapse")
@pytest.mark.scenario("update", "synapse")
@pytest.mark.scenario("delete", "synapse")
@pytest.mark.scenario("update_then_delete", "synapse")
@pytest.mark.scenario("delete_and_recreate", "synapse")
@pytest.mark.scenario("strange_text", "synapse")
def test_what_base_a_changes_comes_into_the_core(synapse: Synapse) -> None:
    synapse.base.fill(range(1, 31))
    rows = [{"id": key, "title": words, "content": words} for key, words in ODD_TEXTS.items()]
    synapse.base.execute("insert into articles (id, title, content) values (:id, :title, :content)", *rows)
    synapse.wait_until_in_step()
    synapse.base.execute("update articles set content = 'changed' where id in (3, 4, 5)")
    synapse.base.execute("delete from articles where id in (5, 6, 7)")
    synapse.base.fill(range(7, 8), "again")
    synapse.wait_until_in_step()
    assert of_base_a(synapse) == synapse.base.rows()
    assert set(times_created(synapse.core, synapse.origin).values()) <= {1, 2}
    assert synapse.parked() == {}


@pytest.mark.scenario("many_pages", "synapse")
@pytest.mark.scenario("equal_timestamps", "synapse")
@pytest.mark.scenario("clock_skew", "synapse")
def test_more_rows_of_one_time_than_a_batch_has_all_come(synapse: Synapse) -> None:
    rows = [{"id": n, "title": f"t{n}", "content": "c"} for n in range(20_000, 21_200)]
    insert = "insert into articles (id, title, content, updated_at) values (:id, :title, :content, '1999-01-01')"
    batches = len(synapse.door.batches)
    synapse.base.execute(insert, *rows)
    synapse.wait_until_in_step()
    assert of_base_a(synapse) == synapse.base.rows()
    assert len(synapse.door.batches) - batches >= 3


@pytest.mark.scenario("refused_row", "synapse")
@pytest.mark.scenario("poison_among_good", "synapse")
@pytest.mark.scenario("five_megabytes", "synapse")
@pytest.mark.scenario("mended_row", "synapse")
def test_a_row_that_is_refused_is_parked_and_stops_no_other(synapse: Synapse) -> None:
    texts = {101: "x" * 201, 102: "good", 103: "zero \0 byte", 104: "good", 105: "good"}
    rows = [{"id": n, "title": words, "content": "c" * (5_000_000 if n == 105 else 1)} for n, words in texts.items()]
    synapse.base.execute("insert into articles (id, title, content) values (:id, :title, :content)", *rows)
    synapse.wait_until_in_step()
    assert synapse.parked() == {"101": "invalid", "103": "refused", "105": "invalid"}
    assert {"102", "104"} <= synapse.articles().keys()
    synapse.base.execute("update articles set title = 'mended', content = 'short' where id in (101, 103, 105)")
    synapse.wait_until_in_step()
    assert synapse.parked() == {}
    assert of_base_a(synapse) == synapse.base.rows()


@pytest.mark.scenario("local_edit", "synapse")
def test_a_local_edit_is_overwritten_by_the_sources_next_change(synapse: Synapse) -> None:
    synapse.base.fill(range(111, 112))
    synapse.wait_until_in_step()
    token = synapse.core.log_in("admin", synapse.core.admin_password)
    path = f"/articles?origin=eq.{synapse.origin}&external_id=eq.111"
    number = synapse.core.call("GET", path, token=token)[1]["data"][0]["id"]
    assert synapse.core.call("PATCH", f"/articles/{number}", {"title": "local"}, token)[0] == 200
    synapse.base.execute("update articles set content = 'newer' where id = 111")
    synapse.wait_until_in_step()
    assert synapse.articles()["111"] == ("Title 111", "newer")


@pytest.mark.parametrize(
    "body",
    [b'{"data": [], "errors": []}', b"<html>hello</html>"],
)
def test_an_answer_that_does_not_speak_of_each_row_confirms_nothing(synapse: Synapse, body: bytes) -> None:
    before = synapse.confirmed()
    faults = synapse.events("batch.fault")
    synapse.door.behaviour = answering(Answer(200, body, {"Content-Type": "application/json"}))
    synapse.base.execute("update articles set content = content || '.' where id = 1")
    synapse.wait_for(lambda: synapse.events("batch.fault") > faults)
    assert synapse.confirmed() == before
    synapse.door.behaviour = faithful
    synapse.wait_until_in_step()
    assert of_base_a(synapse) == synapse.base.rows()


# A core that fails


@pytest.mark.scenario("core_fails", "synapse")
def test_what_the_core_fails_at_is_not_confirmed_but_stored_and_forwarded_once_it_works(synapse: Synapse) -> None:
    secret = b"Traceback: postgresql://user:password@host"
    synapse.door.behaviour = answering(Answer(500, secret, {"Content-Type": "application/json"}))
    status, text = synapse.send({"operations": [upsert(synapse, "stored", 1, title="kept é")]})
    assert (status, json.loads(text)["code"]) == (503, "unavailable")
    synapse.wait_for(lambda: synapse.events("stored.answered, status = 500"))
    assert "stored" not in synapse.articles()
    synapse.door.behaviour = faithful
    synapse.wait_for(lambda: "stored" in synapse.articles())
    assert synapse.articles()["stored"] == ("kept é", "text")


@pytest.mark.scenario("core_down_midway", "synapse")
def test_while_the_core_is_away_the_endpoint_is_suspended_and_afterwards_all_comes(synapse: Synapse) -> None:
    before = synapse.confirmed()
    synapse.door.close()
    synapse.base.execute("update articles set content = 'during the outage' where id < 10")
    body = {"operations": [upsert(synapse, "outage", 1)]}
    synapse.wait_for(lambda: synapse.send(body)[0] == 503 and synapse.events("articles.fault, code = 303001"))
    begun = time.monotonic()
    assert synapse.send(body)[0] == 503
    assert time.monotonic() - begun < 1
    assert synapse.confirmed() == before
    synapse.door.open()
    synapse.wait_until_in_step()
    synapse.wait_for(lambda: "outage" in synapse.articles())
    assert outcomes(synapse.send(body)) == ["unchanged"]
    assert of_base_a(synapse) == synapse.base.rows()


@pytest.mark.scenario("core_slow", "synapse")
def test_a_core_that_is_slow_is_given_up_and_what_it_did_all_the_same_is_harmless(synapse: Synapse) -> None:
    synapse.door.behaviour = slow(5)
    body = {"operations": [upsert(synapse, "slow", 1)]}
    synapse.base.execute("update articles set content = 'slowly' where id = 2")
    begun = time.monotonic()
    status, text = synapse.send(body)
    assert (status, json.loads(text)["code"]) == (503, "unavailable")
    assert time.monotonic() - begun < 4.9
    synapse.door.behaviour = faithful
    synapse.wait_until_in_step()
    synapse.wait_for(lambda: synapse.send(body)[0] == 200)
    assert of_base_a(synapse) == synapse.base.rows()
    assert times_created(synapse.core, synapse.origin)["slow"] == 1


@pytest.mark.scenario("core_busy", "synapse")
def test_a_busy_core_tells_the_client_when_to_come_again_and_base_a_waits(synapse: Synapse) -> None:
    before = synapse.confirmed()
    problem = b'{"code": "rate_limited"}'
    headers = {"Content-Type": "application/json", "Retry-After": "7"}
    synapse.door.behaviour = answering(Answer(429, problem, headers))
    body = {"operations": [upsert(synapse, "busy", 1)]}
    status, text, answered = call("POST", f"{synapse.url}/lakeport/articles", body, {"X-Lakeport-Key": synapse.key})
    assert (status, text, answered["retry-after"]) == (429, problem.decode(), "7")
    batches = len(synapse.door.batches)
    synapse.base.execute("update articles set content = 'later' where id = 3")
    synapse.wait_for(lambda: len(synapse.door.batches) > batches)
    assert synapse.confirmed() == before
    synapse.door.behaviour = faithful
    synapse.wait_until_in_step()
    assert synapse.articles()["3"] == ("Title 3", "later")


@pytest.mark.scenario("core_fails", "synapse")
@pytest.mark.scenario("core_cut", "synapse")
@pytest.mark.scenario("core_doubled", "synapse")
def test_answers_that_fail_are_cut_or_come_of_doubled_calls_lose_and_double_nothing(synapse: Synapse) -> None:
    synapse.door.behaviour = unreliable(0.5, random.Random(6))
    for round_number in range(3):
        synapse.base.execute(f"update articles set content = 'round {round_number}' where id between 8 and 20")
        synapse.base.fill(range(300 + round_number, 301 + round_number))
        synapse.wait_until_in_step()
    synapse.door.behaviour = faithful
    assert of_base_a(synapse) == synapse.base.rows()
    created = times_created(synapse.core, synapse.origin)
    assert {created[str(key)] for key in (300, 301, 302)} == {1}


def unreliable(share: float, chance: random.Random) -> Behaviour:
    """As the core answers, but a share of the batches fails, is cut off, or is sent twice."""

    def behave(each: Call, ask: Any) -> Answer:
        if each.path != "/articles/batch" or chance.random() > share:
            return faithful(each, ask)
        fault = chance.choice(["refused", "cut", "doubled"])
        if fault == "refused":
            return Answer(500, b"<html>oops</html>", {"Content-Type": "text/html"})
        answer = faithful(each, ask)
        if fault == "doubled":
            return faithful(each, ask)
        return Answer(answer.status, answer.body, answer.headers, len(answer.body) // 2)

    return behave


# The route's login


@pytest.mark.scenario("token_ends", "synapse")
def test_the_token_is_renewed_before_it_ends_and_after_it_was_revoked(synapse: Synapse) -> None:
    body = {"operations": [upsert(synapse, "token", 1)]}
    synapse.door.behaviour = short_lived(2)
    revoke(synapse)
    synapse.wait_for(lambda: synapse.send(body)[0] == 200)
    first = synapse.door.batches[-1].headers["Authorization"]
    synapse.wait_for(lambda: synapse.send(body)[0] == 200 and used(synapse) != first, 10)
    assert synapse.events("articles.answered, status = 401") == 1, "only the revoked token was refused"


def used(synapse: Synapse) -> str:
    """The token that was used last."""
    return synapse.door.batches[-1].headers["Authorization"]


def revoke(synapse: Synapse) -> None:
    """End the token that was used last."""
    status, text, _ = call("POST", f"{synapse.core.url}/auth/revoke", headers={"Authorization": used(synapse)})
    assert status == 204, text
    time.sleep(1.1)  # a token that is younger than a second is not forgotten


@pytest.mark.scenario("role_too_low", "synapse")
def test_a_role_that_may_not_write_moves_nothing_and_is_not_told_to_clients(synapse: Synapse) -> None:
    before = synapse.confirmed()
    change_user(synapse, role="reader")
    try:
        status, text = synapse.send({"operations": [upsert(synapse, "role", 1)]})
        assert (status, json.loads(text)["code"]) == (503, "unavailable")
        refused = synapse.events("batch.answered, status = 403")
        synapse.base.execute("update articles set content = 'when I may' where id = 4")
        synapse.wait_for(lambda: synapse.events("batch.answered, status = 403") > refused)
        assert synapse.confirmed() == before
    finally:
        change_user(synapse, role="editor")
    synapse.wait_until_in_step()
    assert synapse.articles()["4"][1] == "when I may"


@pytest.mark.scenario("wrong_password", "synapse")
def test_a_login_that_is_refused_is_not_tried_with_each_message(synapse: Synapse) -> None:
    body = {"operations": [upsert(synapse, "password", 1)]}
    assert synapse.send(body)[0] == 200
    before = synapse.confirmed()
    change_password(synapse, synapse.password, "another pass phrase")
    time.sleep(1.1)  # a token that is younger than a second is not forgotten
    try:
        synapse.wait_for(lambda: synapse.send(body)[0] == 503)
        logins = len(synapse.door.logins)
        synapse.base.execute("update articles set content = 'after the mistake' where id = 5 or id = 8")
        assert {synapse.send(body)[0] for _ in range(20)} == {503}
        assert len(synapse.door.logins) - logins <= 3
        assert synapse.confirmed() == before
    finally:
        change_password(synapse, "another pass phrase", synapse.password)
    synapse.wait_until_in_step()
    assert synapse.articles()["8"][1] == "after the mistake"


def change_user(synapse: Synapse, **change: Any) -> None:
    """Change the route's user as an administrator does."""
    token = synapse.core.log_in("admin", synapse.core.admin_password)
    status, answer = synapse.core.call("PATCH", f"/users/{synapse.username}", change, token)
    assert status == 200, answer


def change_password(synapse: Synapse, old: str, new: str) -> None:
    """Change the route's own password by another login, which ends the route's."""
    token = synapse.core.log_in(synapse.username, old)
    status, answer = synapse.core.call("PUT", "/users/me/password", {"old": old, "new": new}, token)
    assert status == 204, answer


# An end at any moment


@pytest.mark.parametrize(
    "by",
    [
        pytest.param(
            signal.SIGKILL,
            marks=[
                pytest.mark.scenario("killed", "synapse"),
                pytest.mark.scenario("core_down_at_start", "synapse"),
            ],
        ),
        pytest.param(signal.SIGTERM, marks=pytest.mark.scenario("terminated", "synapse")),
    ],
)
def test_what_was_on_its_way_when_it_ended_comes_after_the_next_start(synapse: Synapse, by: signal.Signals) -> None:
    before, batches = synapse.confirmed(), len(synapse.door.batches)
    synapse.door.behaviour = slow(1.5)
    synapse.base.fill(range(400 + by * 10, 405 + by * 10))
    synapse.wait_for(lambda: len(synapse.door.batches) > batches)
    synapse.end(by)
    assert synapse.confirmed() == before
    synapse.door.close()
    synapse.base.execute("update articles set content = 'while it was away' where id = 9")
    synapse.start()
    synapse.door.behaviour = faithful
    synapse.door.open()
    synapse.wait_until_in_step()
    assert of_base_a(synapse) == synapse.base.rows()
    created = times_created(synapse.core, synapse.origin)
    assert {created[str(key)] for key in range(400 + by * 10, 405 + by * 10)} == {1}


@pytest.mark.scenario("killed", "synapse")
def test_kills_at_random_moments_lose_and_double_nothing(synapse: Synapse) -> None:
    for number in range(KILLS):
        keys = range(1_000 + 10 * number, 1_010 + 10 * number)
        synapse.base.fill(keys)
        synapse.base.execute(f"update articles set content = 'kill {number}' where id between 8 and 20")
        synapse.base.execute(f"delete from articles where id = {keys[0]}")
        time.sleep(CHANCE.uniform(0, 1.5))
        synapse.end()
        synapse.start()
    synapse.wait_until_in_step()
    assert of_base_a(synapse) == synapse.base.rows()
    created = times_created(synapse.core, synapse.origin)
    assert {created[key] for key in synapse.base.rows()} <= {1, 2}, "2 is what was deleted and created again"
    assert {number for key, number in created.items() if key.isdigit() and int(key) >= 1_000} == {1}


@pytest.mark.scenario("two_copies", "synapse")
def test_two_copies_at_once_do_no_harm(synapse: Synapse, tmp_path: Path) -> None:
    second = replace(synapse, folder=tmp_path, port=free_port(), process=None)
    shutil.copytree(synapse.folder / "classes", tmp_path / "classes")
    try:
        second.start()
        for number in range(3):
            synapse.base.fill(range(800 + 10 * number, 810 + 10 * number))
            synapse.wait_until_in_step()
    finally:
        second.end()
    assert of_base_a(synapse) == synapse.base.rows()
    created = times_created(synapse.core, synapse.origin)
    assert {created[str(key)] for key in range(800, 830)} == {1}


@pytest.mark.scenario("killed", "synapse")
def test_what_only_the_store_knew_is_lost_with_it_so_that_the_client_was_never_told_it_was_done(
    synapse: Synapse,
) -> None:
    synapse.door.behaviour = answering(Answer(500))
    body = {"operations": [upsert(synapse, "volatile", 1)]}
    assert synapse.send(body)[0] == 503
    synapse.end()
    synapse.door.behaviour = faithful
    synapse.start()
    assert outcomes(synapse.send(body)) == ["created"]


def test_no_log_line_tells_a_secret(synapse: Synapse) -> None:
    log = synapse.log()
    for secret in (synapse.password, synapse.key, "Bearer", *(used(synapse).split()[1:])):
        assert secret not in log


def of_base_a(synapse: Synapse) -> dict[str, tuple[str, str]]:
    """What base B has of base A's rows, which have numbers, not of what clients sent."""
    return {key: texts for key, texts in synapse.articles().items() if key.isdigit()}
