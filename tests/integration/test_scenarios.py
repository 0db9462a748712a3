"""The table of what may happen to a route is whole, and the page says what the tests do."""

from tests.integration import scenarios


def test_each_scenario_is_shown_or_said_not_to_come() -> None:
    assert list(scenarios.mistakes(scenarios.shown())) == []


def test_the_page_is_what_the_tests_show() -> None:
    assert scenarios.TABLE.read_text() == scenarios.table(), "python -m tests.integration.scenarios writes it anew"


def test_gaps_and_unknown_names_are_found() -> None:
    found = list(scenarios.mistakes([scenarios.Shown("no_such_thing", "kafka", "t")]))
    assert "nobody knows no_such_thing on kafka" in found
    assert "synapse shows 0 scenarios, fewer than 8" in found
