"""Events of the core in Kafka's topics: all of them, each key in order, and nothing that is not for everybody."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.kafka.relays import (
    TOPICS,
    Publishing,
    event_id,
    make_topics,
    publishing,
    value,
)
from tests.integration.kafka.running import Kafka


@pytest.fixture
def published(kafka: Kafka, tmp_path: Path) -> Iterator[Publishing]:
    """A core without a worker, and topics for its events."""
    make_topics(kafka, *TOPICS)
    with publishing(kafka, tmp_path) as found:
        yield found


def test_events_are_published_as_the_feed_tells_them_under_the_key_of_their_subject(published: Publishing) -> None:
    article_id = published.add_article()
    published.change_article(article_id, "Seas")
    published.start_worker()
    published.wait_until_sent()
    records = published.records("lakeport.articles")
    told = [{name: each[name] for name in each if name != "policy"} for each in published.events("article.*")]
    assert [value(each) for each in records] == told
    assert [event_id(each) for each in records] == [each["id"] for each in told]
    assert {each.message.key for each in records} == {f"articles/{article_id}".encode()}
