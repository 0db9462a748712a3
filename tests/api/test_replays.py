"""Replays over HTTP: who may ask for which, what is sent, and what is told of it."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from rest_api.database import create_engine_for
from tests.api.replaying import Hand, asked, row_of, verdicts, with_transactions
from tests.conftest import Caller, log_in


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    app = make_app()
    return with_transactions(app, log_in(app, "root"))


@pytest.fixture
def hand(app: Flask, database_url: str) -> Iterator[Hand]:
    engine = create_engine_for(database_url)
    yield Hand(app, engine)
    engine.dispose()


def test_one_transaction_is_sent_again_and_found_in_the_lake(admin: Caller, hand: Hand) -> None:
    before = row_of(admin, "t0003")
    replay = asked(admin.post("/transactions/t0003/replay"))
    assert verdicts(admin, replay) == {"pending": 1}
    hand.work()
    assert verdicts(admin, replay) == {"matched": 1}
    after = row_of(admin, "t0003")
    assert after["timestamp"] > before["timestamp"]
    assert after == {
        **before,
        "timestamp": after["timestamp"],
        "original_timestamp": before["timestamp"],
        "replay_id": replay,
    }
