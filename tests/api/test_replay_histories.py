"""Whatever is replayed, corrected and changed in whatever order: each transaction's money is what it should be.

With LAKEPORT_FULL=1 far more of such histories.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from rest_api.backends.event_log import outbox
from rest_api.database import READ_ONLY, create_engine_for
from rest_api.models.pipeline_message import PipelineMessage
from rest_api.services.deliveries import sender_of
from tests.api.replaying import TABLE, Hand, asked, verdicts, with_transactions
from tests.conftest import Caller, log_in

EXAMPLES = 400 if os.environ.get("LAKEPORT_FULL") == "1" else 8
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
pytestmark = [ON_SQLITE, pytest.mark.timeout(60 + 10 * EXAMPLES)]
IDS = ("t0000", "t0001", "t0002")
AMOUNTS = st.integers(1, 3)
STEPS = st.one_of(
    st.tuples(st.just("change"), st.sampled_from(IDS), AMOUNTS),
    st.tuples(st.just("correct"), st.sampled_from(IDS), AMOUNTS),
    st.tuples(st.just("replay"), st.sampled_from(IDS)),
    st.tuples(st.just("replay all")),
    st.tuples(st.just("deliver")),
    st.tuples(st.just("deliver everything")),
)
OF_REPLAYS = ("replay_id", "original_timestamp")
TIMES = count(1)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    app = make_app()
    return with_transactions(app, log_in(app, "root"))


@pytest.fixture
def hand(app: Flask, database_url: str) -> Iterator[Hand]:
    engine = create_engine_for(database_url)
    yield Hand(app, engine)
    engine.dispose()


@dataclass
class Sent:
    """A message under way: the money that was read, and what it shall be."""

    replay: str
    transaction: str
    read: float
    wanted: float


@dataclass
class History:
    """What happens to three transactions, and what should come of it."""

    hand: Hand
    caller: Caller
    money: dict[str, float] = field(default_factory=dict)
    waiting: list[Sent] = field(default_factory=list)
    told: dict[str, list[str]] = field(default_factory=dict)

    def change(self, transaction: str, amount: float) -> None:
        """The shop sends a newer event."""
        at = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(seconds=next(TIMES))
        row = {
            name: value
            for name, value in self.row(transaction).items()
            if name not in ("replay_id", "original_timestamp")
        }
        event = {"row": {**row, "amount": amount, "timestamp": at.isoformat()}}
        assert self.caller.post(f"{TABLE}/rows", {"events": [event]}).status_code == 201
        self.money[transaction] = amount

    def correct(self, transaction: str, amount: float) -> None:
        """Somebody corrects it on the way."""
        body = {"corrections": {"amount": amount}}
        self._send(self.caller.post(f"/transactions/{transaction}/replay", body), {transaction: amount})

    def replay(self, transaction: str) -> None:
        """Somebody replays it."""
        answer = self.caller.post(f"/transactions/{transaction}/replay")
        self._send(answer, {transaction: self.money[transaction]})

    def replay_all(self) -> None:
        """Somebody replays all three."""
        where = {"transaction_id": {"in": list(IDS)}}
        self._send(self.caller.post("/transactions/replay", {"where": where}), dict(self.money))

    def deliver(self) -> None:
        """One message is taken in."""
        sender_of(
            self.hand.settings, self.hand.engine, self.hand.app.extensions["lakeport"].lake, CollectorRegistry()
        ).deliver()
        if self.waiting:
            self._take(self.waiting.pop(0))

    def deliver_everything(self) -> None:
        """All are."""
        while self.waiting:
            self.deliver()

    def row(self, transaction: str) -> dict[str, Any]:
        [row] = self.caller.get(f"{TABLE}/rows?transaction_id=eq.{transaction}").json["data"]
        return dict(row)

    def _send(self, answer: Any, wanted: dict[str, float]) -> None:
        replay = asked(answer)
        self.told[replay] = []
        self.hand.run_jobs()
        self.waiting += [Sent(replay, each, self.money[each], wanted[each]) for each in self._sent(len(wanted))]

    def _sent(self, number: int) -> list[str]:
        """The transactions of the last messages in the order in which they wait, which is that of the lake's rows."""
        newest = select(PipelineMessage.key).order_by(PipelineMessage.sequence.desc()).limit(number)
        with self.hand.engine.connect().execution_options(**READ_ONLY) as connection:
            return list(connection.scalars(newest))[::-1]

    def _take(self, sent: Sent) -> None:
        has_stayed = self.money[sent.transaction] == sent.read
        self.told[sent.replay].append("matched" if has_stayed else "diverged")
        if has_stayed:
            self.money[sent.transaction] = sent.wanted


@given(steps=st.lists(STEPS, min_size=3, max_size=9))
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES < 100)
def test_money_is_as_it_was_or_as_it_was_corrected(hand: Hand, admin: Caller, steps: list[tuple[Any, ...]]) -> None:
    history = History(hand, admin)
    history.money = {each: history.row(each)["amount"] for each in IDS}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(outbox, "MOST_MESSAGES", 1)
        for name, *arguments in steps:
            getattr(history, name.replace(" ", "_"))(*arguments)
        history.deliver_everything()
    hand.prove()
    # One row each, or `row` would not find just one.
    assert {each: history.row(each)["amount"] for each in IDS} == history.money
    assert {replay: verdicts(admin, replay) for replay in history.told} == {
        replay: {each: found.count(each) for each in dict.fromkeys(found)} for replay, found in history.told.items()
    }
