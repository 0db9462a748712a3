"""The SDL that is kept in docs/schema: no client is broken unnoticed."""

from collections.abc import Mapping

import pytest

from tests.gateway.sdl import ACKNOWLEDGE, COMMAND, breaking_changes, kept

BEFORE = "type Query { read(id: Int!): Item } type Item { id: Int! name: String! } input Where { id: Int }"


def test_no_change_breaks_clients_unless_it_is_acknowledged(demo_sdl: Mapping[str, str]) -> None:
    broken = breaking_changes(kept(), demo_sdl)
    assert not broken, f"if that is meant: {COMMAND} {ACKNOWLEDGE}"


def test_the_schema_kept_is_the_one_served(demo_sdl: Mapping[str, str]) -> None:
    assert kept() == demo_sdl, f"to keep what is served now: {COMMAND}"


@pytest.mark.parametrize(
    ("written", "instead", "told"),
    [
        ("name: String!", "", "Field Item.name was removed."),
        ("name: String!", "name: String", "Field Item.name changed type from String! to String."),
        ("read(id: Int!)", "read(id: Int!, more: Int!)", "A required argument Query.read(more:) was added."),
        ("read(id: Int!): Item", "other: Item", "Field Query.read was removed."),
        ("id: Int }", "id: Int more: Int! }", "A required field Where.more was added."),
        ("read", "read", None),
        ("name: String!", "name: String! more: Int", None),
    ],
)
def test_a_change_that_breaks_clients_is_named(written: str, instead: str, told: str | None) -> None:
    changes = breaking_changes({"a": BEFORE}, {"a": BEFORE.replace(written, instead)})
    assert changes == ([] if told is None else [f"a: {told}"])


def test_a_schema_that_is_no_longer_there_is_named() -> None:
    assert breaking_changes({"a": BEFORE}, {}) == ["a: is gone"]
