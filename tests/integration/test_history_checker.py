"""The checker of histories finds each kind of bug that it is there for, and nothing where there is none."""

from dataclasses import replace

import pytest

from tests.integration.histories.history import Applied, Confirmed, History, Seen, Written, violations

GOOD = History(
    written=[Written("a", 1), Written("b", 2), Written("a", 3), Written("b", 4, is_gone=True), Written("b", 5)],
    confirmed=[Confirmed(10, "a", 1), Confirmed(20, "a", 3), Confirmed(20, "b", 4)],
    applied=[
        Applied("a", 7, 1, 1, "created"),
        Applied("b", 8, 2, 2, "created"),
        Applied("b", 8, 2, 2, "updated"),  # of the same batch as the one before, and told like it
        Applied("a", 7, 2, 3, "updated"),
        Applied("b", 8, 2, 2, "deleted"),
        Applied("b", 9, 1, 5, "created"),
    ],
    seen=[
        Seen(5, "a", None),
        Seen(11, "a", 1),
        Seen(12, "a", 3),
        Seen(21, "b", None),
        Seen(22, "b", 5),
        Seen(23, "a", 3),
    ],
    final={"a": 3, "b": 5},
)
BUGS = {
    "a change that never arrives": (replace(GOOD, final={"a": 1, "b": 5}), "lost", "a"),
    "a row that never arrives": (replace(GOOD, final={"b": 5}), "lost", "a"),
    "a delete that never arrives": (
        replace(GOOD, written=[*GOOD.written, Written("a", 6, is_gone=True)]),
        "lost",
        "a",
    ),
    "a version that nobody wrote": (replace(GOOD, final={"a": 4, "b": 5}), "invented", "a"),
    "an effect of a version that nobody wrote": (
        replace(GOOD, applied=[*GOOD.applied, Applied("c", 10, 1, 1, "created")]),
        "invented",
        "c",
    ),
    "a change that is applied again": (
        replace(GOOD, applied=[*GOOD.applied, Applied("a", 7, 3, 3, "updated")]),
        "doubled",
        "a",
    ),
    "a second article of a key": (
        replace(GOOD, applied=[*GOOD.applied[:3], Applied("a", 10, 1, 3, "created")]),
        "doubled",
        "a",
    ),
    "an older change over a newer one": (
        replace(GOOD, applied=[*GOOD.applied, Applied("a", 7, 3, 1, "updated")]),
        "inverted",
        "a",
    ),
    "a watermark before the change": (replace(GOOD, seen=[Seen(21, "a", 1)]), "stale", "a"),
    "a watermark before a row": (replace(GOOD, seen=[Seen(21, "a", None)]), "stale", "a"),
    "a watermark before a delete": (replace(GOOD, seen=[Seen(21, "b", 2)]), "stale", "b"),
    "a reader who goes back": (replace(GOOD, seen=[Seen(1, "a", 3), Seen(2, "a", 1)]), "stale", "a"),
    "a row that goes without a delete": (replace(GOOD, seen=[Seen(1, "a", 3), Seen(2, "a", None)]), "stale", "a"),
}


def test_a_history_that_keeps_the_promise_has_no_violations() -> None:
    assert violations(GOOD) == []


@pytest.mark.parametrize(("history", "kind", "key"), BUGS.values(), ids=BUGS.keys())
def test_a_bug_is_found_and_called_by_its_name(history: History, kind: str, key: str) -> None:
    assert (kind, key) in {(each.kind, each.key) for each in violations(history)}


def test_what_is_not_confirmed_yet_may_be_missing_or_old() -> None:
    early = [Seen(9, "a", None), Seen(19, "a", 1), Seen(19, "b", None)]
    assert violations(replace(GOOD, seen=early)) == []
