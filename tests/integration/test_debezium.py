"""Debezium captures a PostgreSQL, live: what it tells of each change brings base B in step, tombstones included.

With LAKEPORT_FULL=1 it is killed in between, too.
"""

import os
from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from integration.kafka_client import read_topic
from tests.integration.bases import Base, postgresql_base, synced, times_created
from tests.integration.connect.running import run_connect
from tests.integration.jars import CONNECT
from tests.integration.kafka.flows import consuming
from tests.integration.kafka.lanes import Lane

IS_FULL = os.environ.get("LAKEPORT_FULL") == "1"


@pytest.fixture
def captured(postgresql_url: str) -> Iterator[Base]:
    """A base A on PostgreSQL."""
    with postgresql_base(postgresql_url) as base:
        yield base


@pytest.mark.scenario("insert", "kafka")
@pytest.mark.scenario("update", "kafka")
@pytest.mark.scenario("delete", "kafka")
@pytest.mark.scenario("delete_and_recreate", "kafka")
def test_what_debezium_captures_is_in_base_b_deletes_and_keys_used_again_included(lane: Lane, captured: Base) -> None:
    if not CONNECT.are_installed:
        pytest.skip(CONNECT.how_to_get)
    base = captured
    base.execute("alter table articles replica identity full")
    base.fill(range(5))
    with run_connect(lane, base.url, lane.folder / "connect") as connect, consuming(lane.environ):
        lane.wait_for(lambda: synced(lane.core, lane.origin) == base.rows(), 90)
        base.fill(range(5, 8))
        base.execute("update articles set content = 'second' where id in (1, 6)")
        base.execute("delete from articles where id in (2, 3)")
        base.fill(range(3, 4), "again")
        base.execute("update articles set id = 40 where id = 4")
        lane.wait_for(lambda: synced(lane.core, lane.origin) == base.rows(), 90)
        with connect.away() if IS_FULL else nullcontext():
            base.execute("update articles set content = 'while it was away' where id = 0")
            base.execute("delete from articles where id = 7")
        lane.wait_for(lambda: synced(lane.core, lane.origin) == base.rows(), 90)
        lane.wait_until_committed()
    records = list(read_topic(lane.connection, lane.topic))
    assert any(record.message.value is None for record in records), "Debezium sent no tombstone"
    assert lane.letters() == []
    created = times_created(lane.core, lane.origin)
    assert created.pop("3") == 2
    assert set(created.values()) == {1}
