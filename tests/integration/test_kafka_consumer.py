"""The Kafka route, seen from base B: what comes through the topic is in the core, once, and the newest wins."""

from tests.integration.kafka.lanes import Lane, delete, upsert


def test_changes_come_into_the_core_in_the_order_of_their_keys(lane: Lane) -> None:
    lane.start()
    lane.send(*(upsert(key, version) for version in (1, 2) for key in range(50)), delete(7, 3))
    lane.wait_until_committed()
    assert lane.articles() == {str(key): (2, "title 2") for key in range(50) if key != 7}
    assert lane.letters() == []
