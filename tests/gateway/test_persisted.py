"""Documents that are only named: those that clients made known, and those the operator trusts."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from graphql_gateway.limits import Limits
from graphql_gateway.persisted import TrustedDocuments
from graphql_gateway.settings import SettingsError
from tests.gateway.conftest import GraphQL
from tests.live import ROOT, Live, LiveCore, call, gateway

GRAPHQL = "application/graphql-response+json"
TRUSTED = "query Newest($n: Int) { getArticles(limit: $n) { success } }"
SECRET = "{ salaries { nodes { bonus } } }"
APOLLO = {
    "format": "apollo-persisted-query-manifest",
    "version": 1,
    "operations": [
        {"id": "newest", "name": "Newest", "type": "query", "body": TRUSTED},
        {"id": "secret", "name": "Secret", "type": "query", "body": SECRET},
    ],
}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def by_hash(text: str) -> dict[str, Any]:
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256(text)}}}


def answer(client: GraphQL, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
    status, text, _ = client.post(body, **headers)
    return status, json.loads(text)


def code(client: GraphQL, body: Any) -> str:
    (error,) = answer(client, body)[1]["errors"]
    return str(error["extensions"]["code"])


def get(client: GraphQL, **parameters: str) -> dict[str, Any]:
    _, text, _ = call("GET", f"{client.url}/graphql?{urlencode(parameters)}", headers=client.headers)
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_hash_is_not_found_until_its_text_was_sent_with_it(reader: GraphQL) -> None:
    text = "{ getArticles(limit: 3) { success } }"
    status, unknown = answer(reader, by_hash(text))
    assert status == 200
    assert unknown["errors"][0]["message"] == "PersistedQueryNotFound"
    assert unknown["errors"][0]["extensions"]["code"] == "PERSISTED_QUERY_NOT_FOUND"
    assert answer(reader, by_hash(text), Accept=GRAPHQL)[0] == 400
    expected = {"getArticles": {"success": True}}
    assert answer(reader, {"query": text, **by_hash(text)})[1]["data"] == expected
    assert answer(reader, by_hash(text))[1]["data"] == expected
    assert get(reader, extensions=json.dumps(by_hash(text)["extensions"]))["data"] == expected
    assert get(reader, documentId=f"sha256:{sha256(text)}")["data"] == expected


def test_the_hash_of_another_text_is_refused_and_nothing_kept(reader: GraphQL) -> None:
    text = "{ getArticles(limit: 4) { success } }"
    status, wrong = answer(reader, {"query": "{ __typename }", **by_hash(text)})
    assert (status, wrong["errors"][0]["message"]) == (400, "provided sha does not match query")
    assert code(reader, by_hash(text)) == "PERSISTED_QUERY_NOT_FOUND"


@pytest.mark.parametrize(
    "extension",
    [
        {"version": 2, "sha256Hash": "0" * 64},
        {"sha256Hash": "0" * 64},
        {"version": 1},
        {"version": 1, "sha256Hash": "0" * 63},
        {"version": 1, "sha256Hash": 7},
        {"version": 1, "sha256Hash": "../" + "0" * 61},
        "x",
    ],
)
def test_a_name_that_is_none_is_refused(nobody: GraphQL, extension: Any) -> None:
    status, refused = answer(nobody, {"extensions": {"persistedQuery": extension}})
    assert (status, refused["errors"][0]["extensions"]["code"]) == (400, "INVALID")


def test_a_document_that_does_not_suit_the_schema_is_not_kept(reader: GraphQL) -> None:
    text = "{ nothing_of_the_kind }"
    assert code(reader, {"query": text, **by_hash(text)}) == "INVALID"
    assert code(reader, by_hash(text)) == "PERSISTED_QUERY_NOT_FOUND"


def test_who_has_another_schema_does_not_learn_that_a_hash_is_known(reader: GraphQL, nobody: GraphQL) -> None:
    text = "{ getArticles(limit: 5) { success code } }"
    answer(reader, {"query": text, **by_hash(text)})
    assert code(nobody, by_hash(text)) == "PERSISTED_QUERY_NOT_FOUND"


def test_a_token_that_is_not_good_is_told_neither(nobody: GraphQL) -> None:
    forged = GraphQL(nobody.url, {"Authorization": "Bearer x.y.z"})
    for text in ("{ __typename }", "{ neverSent }"):
        answer(nobody, {"query": text, **by_hash(text)})
        assert code(forged, by_hash(text)) == "UNAUTHENTICATED"


def test_a_mutation_by_hash_does_not_run_by_get(editor: GraphQL) -> None:
    text = 'mutation { createArticle(title: "by hash", content: "") { success } }'
    assert answer(editor, {"query": text, **by_hash(text)})[1]["data"]["createArticle"]["success"]
    refused = get(editor, extensions=json.dumps(by_hash(text)["extensions"]))
    assert refused["errors"][0]["extensions"]["code"] == "METHOD_NOT_ALLOWED"


def test_a_long_document_is_run_and_not_kept(reader: GraphQL) -> None:
    text = "{ __typename }" + " " * 10_000
    assert answer(reader, {"query": text, **by_hash(text)})[1]["data"] == {"__typename": "Query"}
    assert code(reader, by_hash(text)) == "PERSISTED_QUERY_NOT_FOUND"


def test_the_documents_kept_are_few(nobody: GraphQL) -> None:
    texts = [f"{{ __typename }} #{number}" for number in range(129)]
    for text in texts:
        answer(nobody, {"query": text, **by_hash(text)})
    assert code(nobody, by_hash(texts[0])) == "PERSISTED_QUERY_NOT_FOUND"
    assert "data" in answer(nobody, by_hash(texts[-1]))[1]


@pytest.fixture(scope="module")
def trusting(
    live_core: LiveCore, live_gateway: Live, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Live, Live]]:
    """A gateway with trusted documents, and one that runs no others."""
    folder = tmp_path_factory.mktemp("trusting")
    manifest = folder / "documents.json"
    manifest.write_text(json.dumps(APOLLO))
    with (
        gateway(live_core.url, folder, GRAPHQL_DOCUMENTS=str(manifest)) as trusting,
        gateway(live_core.url, folder, GRAPHQL_DOCUMENTS=str(manifest), GRAPHQL_TRUSTED_ONLY="true") as trusting_only,
    ):
        yield trusting, trusting_only


def test_a_trusted_document_runs_by_its_id_and_by_its_hash(reader: GraphQL, trusting: tuple[Live, Live]) -> None:
    expected = {"getArticles": {"success": True}}
    for live in trusting:
        client = GraphQL(live.url, reader.headers)
        assert answer(client, {"documentId": "newest", "variables": {"n": 1}})[1]["data"] == expected
        assert answer(client, by_hash(TRUSTED))[1]["data"] == expected
        assert get(client, documentId="newest", variables='{"n": 1}')["data"] == expected
        assert get(client, documentId=f"sha256:{sha256(TRUSTED)}")["data"] == expected


def test_an_unknown_id_is_refused(reader: GraphQL, trusting: tuple[Live, Live]) -> None:
    codes = [code(GraphQL(live.url, reader.headers), {"documentId": "another"}) for live in trusting]
    assert codes == ["PERSISTED_QUERY_NOT_FOUND", "PERSISTED_QUERY_NOT_IN_LIST"]


def test_an_id_stands_alone(reader: GraphQL, trusting: tuple[Live, Live]) -> None:
    client = GraphQL(trusting[0].url, reader.headers)
    for beside in ({"query": TRUSTED}, by_hash(TRUSTED)):
        status, _ = answer(client, {"documentId": "newest", **beside})
        assert status == 400


def test_only_trusted_documents_run_where_that_is_asked_for(reader: GraphQL, trusting: tuple[Live, Live]) -> None:
    client = GraphQL(trusting[1].url, reader.headers)
    assert answer(client, {"query": TRUSTED})[1]["data"] == {"getArticles": {"success": True}}
    for text in ("{ __typename }", TRUSTED + " ", "{ __schema { queryType { name } } }"):
        assert code(client, {"query": text}) == "QUERY_NOT_IN_SAFELIST"
        assert code(client, {"query": text, **by_hash(text)}) == "QUERY_NOT_IN_SAFELIST"
        assert code(client, by_hash(text)) == "PERSISTED_QUERY_NOT_IN_LIST"


def test_a_stream_of_events_is_no_way_around_it(reader: GraphQL, trusting: tuple[Live, Live]) -> None:
    client = GraphQL(trusting[1].url, {**reader.headers, "Accept": "text/event-stream"})
    assert "QUERY_NOT_IN_SAFELIST" in client.post({"query": "{ __typename }"})[1]
    secret = client.post({"documentId": "secret"})[1]
    assert "INVALID" in secret
    assert "salaries" not in secret
    assert '"success":true' in client.post({"documentId": "newest"})[1]


def test_who_may_not_read_what_a_trusted_document_names_does_not_learn_the_names(
    reader: GraphQL, trusting: tuple[Live, Live]
) -> None:
    for live in trusting:
        client = GraphQL(live.url, reader.headers)
        for named in ({"documentId": "secret"}, by_hash(SECRET)):
            status, text, _ = client.post(named)
            assert (status, json.loads(text)["errors"][0]["extensions"]["code"]) == (200, "INVALID")
            assert "salaries" not in text
            assert "bonus" not in text


LIMITS = Limits(1 << 20, 2_000, 12, 30, 20, 500)


def test_a_plain_object_of_texts_by_id_is_a_manifest_too(tmp_path: Path) -> None:
    file = tmp_path / "relay.json"
    file.write_text(json.dumps({"3be4abb81fa595e25eb725b2c6a87508": TRUSTED}))
    trusted = TrustedDocuments.load(file, LIMITS)
    assert trusted.text("3be4abb81fa595e25eb725b2c6a87508") == TRUSTED
    assert trusted.text(f"sha256:{sha256(TRUSTED)}") == TRUSTED


def test_all_mistakes_in_a_manifest_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "documents.json"
    deep = "{ a" * 13 + " }" * 13
    file.write_text(json.dumps({"fine": TRUSTED, "typo": "{ a", "deep": deep, "with space": "{ a }"}))
    with pytest.raises(SettingsError) as caught:
        TrustedDocuments.load(file, LIMITS)
    assert [mistake.split("'")[1] for mistake in caught.value.mistakes] == ["typo", "deep", "with space"]
    assert all(mistake.startswith("GRAPHQL_DOCUMENTS: ") for mistake in caught.value.mistakes)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "7",
        '{"a": 7}',
        '{"a": "{ b }", "a": "{ c }"}',
        '{"format": "apollo-persisted-query-manifest", "version": 2, "operations": []}',
        '{"format": "apollo-persisted-query-manifest", "version": 1, "operations": {}}',
        '{"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"id": "a"}]}',
        (
            '{"format": "apollo-persisted-query-manifest", "version": 1, "operations": '
            '[{"id": "a", "body": "{ b }"}, {"id": "a", "body": "{ c }"}]}'
        ),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "documents.json"
    file.write_text(content)
    with pytest.raises(SettingsError, match="GRAPHQL_DOCUMENTS: "):
        TrustedDocuments.load(file, LIMITS)


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"GRAPHQL_DOCUMENTS": "missing.json"}, "setting GRAPHQL_DOCUMENTS: cannot be read"),
        ({"GRAPHQL_TRUSTED_ONLY": "true"}, "setting GRAPHQL_TRUSTED_ONLY: expected GRAPHQL_DOCUMENTS"),
        ({"GRAPHQL_TRUSTED_ONLY": "yes"}, "setting GRAPHQL_TRUSTED_ONLY: expected true or false"),
    ],
)
def test_the_check_of_the_settings_looks_at_the_documents(tmp_path: Path, environ: dict[str, str], told: str) -> None:
    check = [sys.executable, "-m", "graphql_gateway"]
    environ = {"PYTHONPATH": str(ROOT), **environ}
    done = subprocess.run(check, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(told)
