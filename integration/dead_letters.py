"""`python -m integration.dead_letters list|inspect|replay|drop`: what could not be applied, and what becomes of it."""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import click

from integration.envelopes import Message
from integration.errors import Misconfigured, Stop
from integration.kafka_client import Publisher, TooLarge, read_topic
from integration.kafka_settings import KafkaSettings
from integration.letters import Letter, standing

SHOWN_CHARACTERS = 10_000


@dataclass(frozen=True)
class DeadLetters:
    """The dead letters of one topic."""

    settings: KafkaSettings

    def all(self) -> list[Letter]:
        """Those that stand, oldest first. Raises KafkaAway."""
        return standing(read_topic(self.settings.connection(), self.settings.kafka_dead_letter_topic))

    def chosen(self, ids: Sequence[str], reason: str | None, *, is_all: bool) -> list[Letter]:
        """Those of the ids, of a reason, or all. Raises Misconfigured for an id that does not stand."""
        if not (ids or reason or is_all):
            raise Misconfigured("Name letters by their ids, by --reason or by --all")
        letters = self.all()
        unknown = set(ids) - {each.id for each in letters}
        if unknown:
            raise Misconfigured(f"There is no dead letter {min(unknown)!r}; `list` tells which there are")
        return [each for each in letters if is_all or each.id in ids or each.reason == reason]

    def replay(self, letters: Sequence[Letter]) -> None:
        """Send them to where they came from, then drop them; killed between, they are sent twice, which is harmless."""
        for each in letters:
            if each.partition.topic != self.settings.kafka_topic:
                raise Misconfigured(f"{each.id} is not of {self.settings.kafka_topic}; name its topic as KAFKA_TOPIC")
            if each.missing:
                raise Misconfigured(f"{each.id} has no value, {each.missing}; nothing is replayed")
        self._send(self.settings.kafka_topic, [each.message for each in letters])
        self.drop(letters)

    def drop(self, letters: Sequence[Letter]) -> None:
        """Have them gone."""
        self._send(self.settings.kafka_dead_letter_topic, [each.dropped() for each in letters])

    def _send(self, topic: str, messages: list[Message]) -> None:
        with closing(Publisher(self.settings.connection(), topic)) as publisher:
            try:
                publisher.send(messages)
            except TooLarge as error:
                raise Misconfigured(f"{topic} does not take messages of this size") from error


@click.group()
def main() -> None:
    """Look after what could not be applied. Settings are those of the consumer, from the environment."""


@main.command("list")
@click.option("--reason", help="only those of a reason")
def show_all(reason: str | None) -> None:
    """Tell which letters there are, oldest first, and how many of each reason."""
    with _ending():
        letters = [each for each in _dead_letters().all() if reason in (None, each.reason)]
        for each in letters:
            click.echo(f"{_safe(each.id)}  {_safe(each.parked_at)}  {_safe(each.reason)}  {_safe(each.detail)}")
        told = ", ".join(f"{count} {_safe(name)}" for name, count in sorted(Counter(x.reason for x in letters).items()))
        click.echo(f"{len(letters)} dead letters" + (f": {told}" if told else ""), err=True)


@main.command()
@click.argument("letter_id")
def inspect(letter_id: str) -> None:
    """Tell all about one letter, as JSON."""
    with _ending():
        (found,) = _dead_letters().chosen([letter_id], None, is_all=False)
        click.echo(json.dumps(_told(found), indent=2))


def _choosing(act: Callable[[DeadLetters, Sequence[Letter]], None], done: str) -> Callable[..., None]:
    def run(ids: tuple[str, ...], reason: str | None, every: bool) -> None:  # noqa: FBT001  (what click gives)
        with _ending():
            dead_letters = _dead_letters()
            letters = dead_letters.chosen(ids, reason, is_all=every)
            act(dead_letters, letters)
            click.echo(f"{len(letters)} dead letters {done}")

    with_all = click.option("--all", "every", is_flag=True, help="all that there are")(run)
    with_reason = click.option("--reason", help="all of a reason")(with_all)
    return click.argument("ids", nargs=-1)(with_reason)


main.command("replay", help="Send letters to where they came from again, and drop them.")(
    _choosing(DeadLetters.replay, "replayed")
)
main.command("drop", help="Have letters gone for good.")(_choosing(DeadLetters.drop, "dropped"))


def _dead_letters() -> DeadLetters:
    return DeadLetters(KafkaSettings.load(os.environ))


@contextmanager
def _ending() -> Iterator[None]:
    try:
        yield
    except Stop as stop:
        click.echo(f"dead letters: {stop}", err=True)
        sys.exit(stop.exit_code)


def _told(found: Letter) -> dict[str, object]:
    return {
        "id": found.id,
        "reason": found.reason,
        "detail": found.detail,
        "at_ms": found.at_ms,
        "parked_at": found.parked_at,
        "key": _text(found.message.key),
        "headers": [[name, _text(value)] for name, value in found.message.headers],
        "value": _text(found.message.value),
        **({"missing": found.missing} if found.missing else {}),
    }


def _text(value: bytes | None) -> str | None:
    return None if value is None else value[: 4 * SHOWN_CHARACTERS].decode(errors="backslashreplace")[:SHOWN_CHARACTERS]


def _safe(text: str) -> str:
    """Without signs that a terminal obeys: whoever writes to the topic writes here."""
    return "".join(sign if sign.isprintable() else "�" for sign in text)


if __name__ == "__main__":
    main()
