"""Logging in and reading rows, by hand, in each of the pages."""

import json
import re
import secrets
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.live import Live, LiveCore


@pytest.fixture
def first_titles(live_core: LiveCore) -> list[str]:
    """The titles of the first articles, one of them new."""
    title = f"Article {secrets.token_hex(4)}"
    token = live_core.log_in("admin", live_core.admin_password)
    status, answer = live_core.call("POST", "/articles", {"title": title, "content": "Text"}, token)
    assert status == 201, answer
    _, answer = live_core.call("GET", "/articles?select=title", None, token)
    return [article["title"] for article in answer["data"]]


def test_a_person_logs_in_and_reads_rows_in_playground(
    page: Page, live_core: LiveCore, live_gateway: Live, first_titles: list[str]
) -> None:
    page.goto(f"{live_gateway.url}/graphql")
    expect(page.locator(".CodeMirror")).to_have_count(3)
    query, headers, result = page.locator(".CodeMirror").all()
    replace_text(query, with_password(text_of(query), live_core))
    run_in_playground(page, "LogIn")
    token = answer_in(result, "accessToken")["data"]["login"]["accessToken"]

    page.get_by_text("HTTP HEADERS").click()
    replace_text(headers, json.dumps({"Authorization": f"Bearer {token}"}))
    run_in_playground(page, "FirstArticles")
    assert_first(titles(answer_in(result, "getArticles")), first_titles)


def test_a_person_logs_in_and_reads_rows_in_graphiql(
    page: Page, live_core: LiveCore, live_gateway: Live, first_titles: list[str]
) -> None:
    page.goto(f"{live_gateway.url}/graphiql")
    query = page.locator(".graphiql-query-editor .CodeMirror")
    headers = page.locator(".graphiql-editor-tool .graphiql-editor:not(.hidden) .CodeMirror")
    result = page.locator(".result-window .CodeMirror")
    replace_text(query, with_password(text_of(query), live_core))
    run_in_graphiql(page, "LogIn")
    token = answer_in(result, "accessToken")["data"]["login"]["accessToken"]

    replace_text(headers, json.dumps({"Authorization": f"Bearer {token}"}))
    run_in_graphiql(page, "FirstArticles")
    assert_first(titles(answer_in(result, "getArticles")), first_titles)


def test_a_person_reads_rows_in_the_rest_documentation(
    page: Page, live_core: LiveCore, first_titles: list[str]
) -> None:
    page.goto(f"{live_core.url}/docs")
    page.get_by_role("button", name="Authorize").click()
    page.locator(".auth-container input").fill(live_core.log_in("admin", live_core.admin_password))
    page.locator(".auth-container").get_by_role("button", name="Apply credentials").click()
    page.locator(".auth-container").get_by_role("button", name="Close").click()

    operation = page.locator(".opblock", has=page.get_by_text("List articles."))
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    expect(operation.locator(".live-responses-table")).to_contain_text(first_titles[0])


def assert_first(shown: list[str], first_titles: list[str]) -> None:
    """What is shown is how the articles begin."""
    assert shown
    assert shown == first_titles[: len(shown)]


def text_of(editor: Locator) -> str:
    """All that an editor holds, the lines out of sight too."""
    return str(editor.evaluate("element => element.CodeMirror.getValue()"))


def replace_text(editor: Locator, text: str) -> None:
    """Select all and paste."""
    editor.click()
    editor.page.keyboard.press("Control+A")
    editor.page.keyboard.insert_text(text)
    assert text_of(editor) == text


def with_password(text: str, core: LiveCore) -> str:
    """The first tab's text with the password filled in."""
    assert 'password: ""' in text
    return text.replace('password: ""', f'password: "{core.admin_password}"')


def run_in_playground(page: Page, operation: str) -> None:
    """Press the button and choose the operation."""
    page.get_by_title("Execute Query (Ctrl-Enter)").click()
    page.get_by_text(operation, exact=True).last.click()


def run_in_graphiql(page: Page, operation: str) -> None:
    """Press the button and choose the operation."""
    page.locator(".graphiql-execute-button").click()
    page.get_by_role("menuitem", name=operation).click()


def answer_in(result: Locator, words: str) -> Any:
    """The answer once it is shown."""
    expect(result).to_contain_text(re.compile(words))
    return json.loads(text_of(result))


def titles(answer: Any) -> list[str]:
    """The titles of the rows in an answer."""
    return [article["title"] for article in answer["data"]["getArticles"]["articles"]]
