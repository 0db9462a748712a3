"""Every data route × every principal × every use of a column: nobody can tell his lake from one without what is hidden.

Each request is made against three lakes: the real one, one whose hidden rows, columns, masked values and datasets are
others (all of the answer must be the same), and one that has only what he sees (the same but for what tells of grants).
`LAKEPORT_FULL=1` makes all requests; else a sample.
"""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from rest_api.app import create_app
from tests.conftest import prepare_database, settings_for
from tests.leaks.attacks import Attack, attacks
from tests.leaks.twins import PRINCIPALS, SECRETS, TABLE, Lake, Principal, build

IS_FULL = os.environ.get("LAKEPORT_FULL") == "1"
SAMPLE = 40
SEED = os.environ.get("LAKEPORT_SEED", "1")
REQUEST_ID = "the-same-for-all"
# Of when and by whom a call was made; all else that a header says must be the same.
UNLIKE = frozenset({"date", "ratelimit"})
TIMES = frozenset({"at", "created_at"})
OF_GRANTS = ("post_grants", "get_grants", "delete_grants", "accesses")
Trio = tuple[Lake, Lake, Lake]


@pytest.fixture
def make_lake(tmp_path: Path) -> Any:
    """Makes the lakes of a principal, each in a folder and on a database of its own."""
    apps: list[Flask] = []

    def make(principal: Principal, which: str) -> Lake:
        folder = tmp_path / which
        folder.mkdir()
        url = f"sqlite:///{folder}/lakeport.db"
        settings = settings_for(folder, DATABASE_URL=url, REQUESTS_PER_MINUTE="10000000", **SECRETS)
        settings.heads_dir.mkdir()
        prepare_database(url)
        apps.append(create_app(settings))
        return build(apps[-1], principal, which)

    yield make
    for app in apps:
        with app.app_context():
            app.extensions["sqlalchemy"].engine.dispose()


@pytest.mark.parametrize("principal", PRINCIPALS, ids=lambda each: each.name)
def test_nobody_can_tell_what_is_hidden_from_what_is_not_there(
    principal: Principal, make_lake: Callable[[Principal, str], Lake]
) -> None:
    lakes = tuple(make_lake(principal, which) for which in ("real", "other", "twin"))
    description = lakes[0].app.test_client().get("/openapi.json").json
    found = attacks(description or {}, principal)
    chosen = found if IS_FULL else _sample(principal, found)
    leaks = [leak for attack in chosen if (leak := _leak(lakes, attack)) is not None]
    print(f"{principal.name}: {len(chosen)} requests to each of three lakes, {len(leaks)} leaks")  # noqa: T201
    assert leaks[:3] == []


def _sample(principal: Principal, found: list[Attack]) -> list[Attack]:
    """Some of them, and all that ask a table for a masked value: its log knows the clear ones."""
    masked = [f"{TABLE}/rows?{name}=eq." for name in principal.masks]
    always = [attack for attack in found if any(start in attack.url for start in masked)]
    return [*always, *Random(f"{SEED} {principal.name}").sample(found, SAMPLE)]


def _leak(lakes: tuple[Lake, ...], attack: Attack) -> Any:
    real, other, twin = (_answers(lake, attack) for lake in lakes)
    if real != other:
        return {"attack": attack.told, "real": _first(real, other), "other": _first(other, real)}
    if attack.operation.startswith(OF_GRANTS[:3]) or attack.operation.endswith(OF_GRANTS[3]):
        return None
    real, twin = (tuple(_without_grants(each) for each in answers) for answers in (real, twin))
    return None if real == twin else {"attack": attack.told, "real": _first(real, twin), "twin": _first(twin, real)}


def _first(one: tuple[Any, ...], another: tuple[Any, ...]) -> Any:
    return next((mine for mine, its in zip(one, another, strict=False) if mine != its), (len(one), len(another)))


def _answers(lake: Lake, attack: Attack) -> tuple[Any, ...]:
    """The answer and that of the page after it."""
    first = _call(lake, attack.method, attack.url, attack.body)
    assert first.status_code < 500, (attack.told, first.json)
    assert first.status_code != 429
    cursor = (first.json or {}).get("next") if _is_page(first) else None
    if cursor is None:
        return (_normal(lake, first),)
    if attack.method == "POST":
        second = _call(lake, "POST", attack.url, {**attack.body, "cursor": cursor})
    else:
        second = _call(lake, "GET", str(first.json["next_url"]), None)
    return _normal(lake, first), _normal(lake, second)


def _is_page(answer: TestResponse) -> bool:
    return answer.is_json and answer.content_length != 0 and isinstance(answer.json, dict)


def _call(lake: Lake, method: str, url: str, body: Any) -> TestResponse:
    client = lake.app.test_client()
    headers = {"X-Request-ID": REQUEST_ID} | ({} if lake.caller is None else lake.caller.headers)
    return client.open(url, method=method, json=body, headers=headers, buffered=True)  # an export ends


def _normal(lake: Lake, answer: TestResponse) -> tuple[Any, ...]:
    headers = {name.lower(): value for name, value in answer.headers.items() if name.lower() not in UNLIKE}
    body: Any = answer.json if _is_page(answer) else answer.get_data()
    if isinstance(body, dict) and "next" in body:
        body |= {"next": body["next"] is not None, "next_url": body["next_url"] is not None}
        headers |= {"link": str("link" in headers)}
    timeless = _without_times(body)
    if timeless != body or lake.is_whole:  # the tag of a whole dataset names its state
        headers = {name: value for name, value in headers.items() if name not in ("etag", "content-length")}
    return answer.status_code, headers, timeless


def _without_times(body: Any) -> Any:
    if isinstance(body, dict):
        return {name: _without_times(value) for name, value in body.items() if name not in TIMES}
    return [_without_times(each) for each in body] if isinstance(body, list) else body


def _without_grants(answer: tuple[Any, ...]) -> tuple[Any, ...]:
    """An answer without what it tells of the caller's grants, which are others on a lake without hidden things."""
    status, headers, body = answer
    told = _without_masks(body)
    if told != body:
        headers = {name: value for name, value in headers.items() if name not in ("etag", "content-length")}
    return status, headers, told


def _without_masks(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    if "privileges" in body and "kind" in body:
        columns = [{name: each[name] for name in ("name", "type")} for each in body["columns"]]
        return {**body, "columns": columns, "rows": None}
    return {**body, "data": [_without_masks(each) for each in body["data"]]} if "data" in body else body
