"""Subscribing, by hand, in each of the pages."""

import json

from playwright.sync_api import Locator, Page, expect

from tests.browser.test_explorers import replace_text
from tests.gateway.subscribing import subscribers, wait_until
from tests.live import Live, LiveCore

QUERY = "subscription InBrowser { articleChanged { event article { title } } }"


def test_a_person_sees_changes_as_they_come_in_playground(page: Page, live_core: LiveCore, live_gateway: Live) -> None:
    token = live_core.add_user("editor")
    page.goto(f"{live_gateway.url}/graphql")
    query, headers, _ = page.locator(".CodeMirror").all()
    replace_text(query, QUERY)
    page.get_by_text("HTTP HEADERS").click()
    replace_text(headers, json.dumps({"Authorization": f"Bearer {token}"}))
    page.get_by_title("Execute Query (Ctrl-Enter)").click()
    expect_changes(page.locator("body"), live_core, live_gateway, token)


def test_a_person_sees_changes_as_they_come_in_graphiql(page: Page, live_core: LiveCore, live_gateway: Live) -> None:
    token = live_core.add_user("editor")
    page.goto(f"{live_gateway.url}/graphiql")
    replace_text(page.locator(".graphiql-query-editor .CodeMirror"), QUERY)
    headers = page.locator(".graphiql-editor-tool .graphiql-editor:not(.hidden) .CodeMirror")
    replace_text(headers, json.dumps({"Authorization": f"Bearer {token}"}))
    page.locator(".graphiql-execute-button").click()
    expect_changes(page.locator(".result-window .CodeMirror"), live_core, live_gateway, token)


def expect_changes(shown: Locator, core: LiveCore, gateway: Live, token: str) -> None:
    """Each new article is shown while the page listens, and nobody listens after it."""
    wait_until(lambda: subscribers(gateway, "InBrowser") == 1)
    for title in ("Seen in a browser", "Seen again"):
        status, answer = core.call("POST", "/articles", {"title": title, "content": ""}, token)
        assert status == 201, answer
        expect(shown).to_contain_text(title)
    shown.page.goto("about:blank")
    wait_until(lambda: subscribers(gateway, "InBrowser") == 0)
