"""`python -m integration.feed`: made-up shops that sell all the time, so that there are live figures to look at."""

import os
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from random import SystemRandom
from threading import Event
from typing import Any

import click
import orjson

from integration.command_line import ending
from integration.core_client import CoreClient, Credentials, Refused
from integration.envelopes import Message
from integration.errors import CoreRefused
from integration.kafka_client import Publisher
from integration.kafka_settings import KafkaSettings
from integration.shops import Sale, Shops
from integration.transactions_consumer import DEFAULTS

BATCH_EVENTS = 1_000
TICK_SECONDS = 2.0
"""The longest pause between two batches: each is a version of the table, with a file of its own."""
TELL_SECONDS = 5.0
SERVERS = "KAFKA_BOOTSTRAP_SERVERS"
Send = Callable[[Sequence[Sale]], Counter[str]]
"""Sends messages; how many had which outcome. Raises Stop."""


@click.command()
@click.option(
    "--target", default="http://127.0.0.1:5000", show_default=True, help=f"URL of the core, without {SERVERS}"
)
@click.option("--dataset", default="transactions", show_default=True, help="where the core puts events")
@click.option("--rate", type=click.FloatRange(0.1, 10_000), default=20.0, show_default=True, help="events a second")
@click.option("--corrupt", type=click.FloatRange(0, 1), default=0.05, show_default=True, help="share of wrong events")
@click.option("--seed", type=int, help="what is sold is the same for the same seed [default: another each time]")
@click.option("--count", type=click.IntRange(1), help="end after so many events [default: never]")
@click.option("--patience", default=60.0, show_default=True, help="seconds to wait for a core that is away")
def main(
    *, target: str, dataset: str, rate: float, corrupt: float, seed: int | None, count: int | None, patience: float
) -> None:
    """Have shops sell: to the topic `transactions` where KAFKA_BOOTSTRAP_SERVERS is set, else to the core itself.

    Credentials for the core come from the environment.
    """
    with (
        ending("feed"),
        _destination(os.environ, target, dataset, patience) as send,
        _stopping() as (stopping, signals),
    ):
        shops = Shops(SystemRandom().getrandbits(32) if seed is None else seed, run_name(), corrupt)
        Feed(shops, send, stopping).run(rate, count)
        if signal.SIGINT in signals:
            sys.exit(130)


def run_name() -> str:
    """What a run's transactions are called by, in the order of runs; two that begin at once differ."""
    return f"live-{int(time.time()):x}-{secrets.token_hex(4)}"


class Feed:
    """Sells at a rate and sends what was sold, in batches."""

    def __init__(self, shops: Shops, send: Send, stopping: Event) -> None:
        self._shops = shops
        self._send = send
        self._stopping = stopping
        self._outcomes = Counter[str]()
        self._started = self._told = time.monotonic()

    def run(self, rate: float, count: int | None) -> None:
        """Until told to stop, or until `count` events are sent. What a pause of the core keeps back is not sold."""
        due, last = 1.0, self._started
        while not self._stopping.is_set() and self._sent != count:
            due = min(due, BATCH_EVENTS, float("inf") if count is None else count - self._sent)
            if due >= 1:
                now = datetime.now(UTC)
                self._outcomes += self._send([self._shops.sell(now) for _ in range(int(due))])
                due -= int(due)
            self._tell()
            self._stopping.wait(min(TICK_SECONDS, BATCH_EVENTS / rate))
            due, last = due + (time.monotonic() - last) * rate, time.monotonic()
        click.echo(self._text())

    @property
    def _sent(self) -> int:
        return self._outcomes.total()

    def _tell(self) -> None:
        if time.monotonic() - self._told >= TELL_SECONDS:
            self._told = time.monotonic()
            click.echo(self._text())

    def _text(self) -> str:
        """A line such as `19.8/s, 100 sent: 95 accepted, 5 quarantined`."""
        rate = self._sent / max(time.monotonic() - self._started, TICK_SECONDS)
        told = ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(self._outcomes.items()))
        return f"feed: {rate:,.1f}/s, {self._sent:,} sent" + (f": {told}" if told else "")


@contextmanager
def _destination(environ: Mapping[str, str], target: str, dataset: str, patience: float) -> Iterator[Send]:
    """Kafka where it is set, else the core. Raises Misconfigured."""
    if not environ.get(SERVERS):
        credentials = Credentials.from_environment(environ)
        with closing(CoreClient(target, credentials, patience, lambda text: click.echo(f"feed: {text}"))) as core:
            yield lambda sales: _ingest(core, dataset, sales)
        return
    given = {name: value for name, value in environ.items() if value}
    settings = KafkaSettings.load({**DEFAULTS, **given})
    with closing(Publisher(settings.connection(), settings.kafka_topic)) as publisher:
        yield lambda sales: _publish(publisher, sales)


def _ingest(core: CoreClient, dataset: str, sales: Sequence[Sale]) -> Counter[str]:
    answer = core.ingest(dataset, [orjson.dumps({"raw": sale.text, "id": sale.event_id}) for sale in sales])
    if isinstance(answer, Refused):
        raise CoreRefused(f"The core refused: {answer.detail}")
    refused = sum(each.outcome == "quarantined" for each in answer)
    return Counter(accepted=len(answer) - refused, quarantined=refused)


def _publish(publisher: Publisher, sales: Sequence[Sale]) -> Counter[str]:
    headers = [(("event-id", sale.event_id.encode()),) for sale in sales]
    publisher.send(
        [Message(sale.key.encode(), sale.text.encode(), each) for sale, each in zip(sales, headers, strict=True)]
    )
    return Counter(published=len(sales))


@contextmanager
def _stopping() -> Iterator[tuple[Event, list[int]]]:
    """What SIGTERM and Ctrl-C set once; the second one ends the process where it is. And which of them came."""
    stopping, came = Event(), list[int]()

    def stop(number: int, _frame: object) -> None:
        came.append(number)
        stopping.set()
        signal.signal(number, before[number])

    before: dict[int, Any] = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stopping, came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    main()
