"""The WSO2 route on a real Apache Synapse, seen from its clients, from base A and from base B."""

import json
from pathlib import Path

import pytest

from tests.integration.bases import times_created
from tests.integration.synapse.changes import of_base_a, outcomes, upsert
from tests.integration.synapse.core_door import Answer, answering, faithful
from tests.integration.synapse.running import Synapse
from tests.live import call

ODD_TEXTS = {
    5001: "quotes \" ' \\ $1 \\1 ${CORE_URL} &amp; <b> ]]> \t\r\n",
    5002: "emoji 👩‍👩‍👧 é \u2028 \u0085 \u007f \ufffe \uffff \U0010ffff",
    5003: '{"op": "delete"}',
}


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
    synapse.base.fill(range(31, 61))
    rows = [{"id": key, "title": words, "content": words} for key, words in ODD_TEXTS.items()]
    synapse.base.execute("insert into articles (id, title, content) values (:id, :title, :content)", *rows)
    synapse.wait_until_in_step()
    synapse.base.execute("update articles set content = 'changed' where id in (33, 34, 35)")
    synapse.base.execute("delete from articles where id in (35, 36, 37)")
    synapse.base.fill(range(37, 38), "again")
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
