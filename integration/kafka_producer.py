"""`python -m integration.kafka_producer`: bring what changed in base A into a topic, for the consumers to apply."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path

import click

from integration.change_events import ENVELOPES
from integration.command_line import SOURCE, ending, secret_url
from integration.kafka_client import Publisher
from integration.kafka_settings import KafkaSettings
from integration.mapping import read_mapping
from integration.publication import Publication
from integration.runs import leave, run, watch
from integration.script_metrics import ScriptMetrics
from integration.sent_events import SentEvents
from integration.sources import open_source
from integration.sync import Sync
from integration.watermarks import State, open_state

ROUTE = "kafka"
STATE_DIR = Path("var/sync")


@click.command()
@click.option("--source", help=f"URL of base A without a password; with one, put it into {SOURCE}")
@click.option("--state", type=click.Path(path_type=Path), help="file of the watermark [var/sync/ORIGIN-kafka.db]")
@click.option("--overlap", default=300.0, show_default=True, help="seconds that are read again before the watermark")
@click.option("--envelope", type=click.Choice(sorted(ENVELOPES)), default="cloudevents", show_default=True)
@click.option("--from-start", is_flag=True, help="forget the watermark and what was sent; send everything")
@click.option("--watch", "pause", type=float, metavar="SECONDS", help="go on, with such a pause between two runs")
@click.option("--metrics-file", type=click.Path(path_type=Path), help="file for the node exporter's textfile collector")
def main(
    *,
    source: str | None,
    state: Path | None,
    overlap: float,
    envelope: str,
    from_start: bool,
    pause: float | None,
    metrics_file: Path | None,
) -> None:
    """Bring what changed in base A into a topic. Kafka's settings are the consumer's, from the environment."""
    reach = timedelta(seconds=overlap)
    with ending("producer"), ExitStack() as stack:
        settings = KafkaSettings.load(os.environ)
        origin, topic = settings.kafka_origin, settings.kafka_topic
        url = secret_url(source, SOURCE, "--source")
        opened = stack.enter_context(open_source(url, read_mapping(settings.kafka_mapping)))
        metrics = ScriptMetrics(origin, ROUTE)
        stack.callback(leave, metrics, metrics_file)
        facts = {"source": opened.name, "target": f"topic {topic}", "origin": origin}
        path = state or STATE_DIR / f"{origin}-kafka.db"
        kept = stack.enter_context(_memory(path, facts, is_new=from_start))
        sent = SentEvents(path, topic, reach)
        publisher = Publisher(settings.connection(), topic)
        publication = stack.enter_context(closing(Publication(publisher, sent, ENVELOPES[envelope], origin)))
        if from_start:
            sent.forget()
        sync = Sync(opened, publication.deliver, kept, origin, reach, metrics)
        sys.exit(run(sync) if pause is None else watch(sync, pause, metrics_file))


@contextmanager
def _memory(path: Path, facts: Mapping[str, str], *, is_new: bool) -> Iterator[State]:
    """What the route remembers of these facts. Raises AlreadyRunning, Misconfigured."""
    with open_state(path) as kept:
        if is_new:
            kept.forget()
        kept.check(**facts)
        kept.bind(**facts)
        yield kept


if __name__ == "__main__":
    main()
