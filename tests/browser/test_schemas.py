"""What Playground shows of the schema, to two users with different grants."""

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.test_explorers import replace_text, text_of
from tests.gateway.conftest import GraphQL
from tests.gateway.lake import LiveLake, live_lake

COLUMNS = {"id", "at", "country", "amount", "card", "paid", "order"}
SCHEMA = re.compile("^schema$", re.IGNORECASE)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLake]:
    """A core with a lake, and a gateway before it."""
    with live_lake(tmp_path_factory.mktemp("lake")) as found:
        yield found


@pytest.fixture(scope="module")
def grants(lake: LiveLake) -> dict[str, tuple[GraphQL, set[str]]]:
    """Two users, and the columns of `payments` that each may read."""
    ida, ivo = {"id", "country"}, COLUMNS - {"card"}
    return {
        "ida": (lake.user("ida", {"dataset": "payments", "columns": sorted(ida)}), ida),
        "ivo": (lake.user("ivo", {"dataset": "payments", "columns": sorted(ivo)}), ivo),
    }


@pytest.mark.parametrize("name", ["ida", "ivo"])
def test_playground_shows_each_user_the_columns_that_he_may_read_and_completes_them(
    page: Page, lake: LiveLake, grants: dict[str, Any], name: str
) -> None:
    client, columns = grants[name]
    page.goto(f"{lake.gateway.url}/graphql")
    query, headers, _ = page.locator(".CodeMirror").all()
    page.get_by_text("HTTP HEADERS").click()
    replace_text(headers, json.dumps(client.headers))

    page.get_by_text(SCHEMA).first.click()
    printed = page.locator(".CodeMirror").last
    expect(printed).to_contain_text("type Mutation")
    wait_for(printed, "type PaymentsRow")
    assert fields_of(printed, "type PaymentsRow") == columns
    assert fields_of(printed, "input PaymentsWhere") == columns | {"and", "or", "not"}
    assert "HiddenRow" not in text_of(printed)
    page.get_by_text(SCHEMA).first.click()

    assert completions(query, "{ payments { nodes { ") - {"__typename"} == columns
    roots = completions(query, "{ ")
    assert "payments" in roots
    assert "hidden" not in roots


def wait_for(editor: Locator, words: str) -> None:
    """Look until an editor holds the words; the page's policy lets no script wait for them there."""
    ends_at = time.monotonic() + 20
    while words not in text_of(editor):
        assert time.monotonic() < ends_at, f"{words} does not come"
        editor.page.wait_for_timeout(50)


def fields_of(printed: Locator, head: str) -> set[str]:
    """The names of the fields of a type in printed SDL."""
    text = text_of(printed)
    body = text.split(f"{head} {{\n", 1)[1].split("\n}", 1)[0]
    lines = [line.strip() for line in body.splitlines()]
    return {line.split(":")[0].split("(")[0] for line in lines if line and line[0] not in '#"'}


def completions(query: Locator, text: str) -> set[str]:
    """What the editor offers after a text."""
    replace_text(query, text)
    query.page.keyboard.press("Control+Space")
    hints = query.page.locator(".CodeMirror-hints li")
    expect(hints.first).to_be_visible()
    offered = {str(each).split("\n")[0].strip() for each in hints.all_inner_texts()}
    query.page.keyboard.press("Escape")
    return {each.split(" ")[0] for each in offered}
