"""Base A over Kafka into base B: `integration.kafka_producer` captures, the topic keeps, the consumer applies."""

from collections.abc import Callable

import pytest

from tests.integration.bases import Base
from tests.integration.kafka.flows import Flow

FlowFrom = Callable[[Base], Flow]
ROWS = range(1, 1_501)


@pytest.mark.scenario("insert", "kafka")
@pytest.mark.scenario("update", "kafka")
@pytest.mark.scenario("delete", "kafka")
@pytest.mark.scenario("delete_and_recreate", "kafka")
@pytest.mark.scenario("update_then_delete", "kafka")
def test_changes_deletes_and_keys_created_again_arrive(flow_from: FlowFrom, any_base: Base) -> None:
    flow = flow_from(any_base)
    any_base.fill(range(20))
    assert flow.capture().told == f"{flow.lane.origin}: 20 rows read: 20 published\n"
    assert flow.carried() == any_base.rows()
    any_base.execute("update articles set content = 'second' where id in (3, 4)")
    any_base.execute("delete from articles where id in (4, 5, 6)")
    any_base.fill(range(6, 7), "again")
    any_base.fill(range(30, 31))
    assert flow.capture().code == 0
    assert flow.carried() == any_base.rows()
    assert flow.carried()["6"] == ("Title 6", "again é 6")
    assert flow.lane.letters() == []


@pytest.mark.scenario("unchanged", "kafka")
@pytest.mark.scenario("empty_source", "kafka")
@pytest.mark.parametrize("envelope", ["cloudevents", "plain"])
def test_what_did_not_change_is_not_sent_again(flow: Flow, base: Base, envelope: str) -> None:
    assert flow.capture("--envelope", envelope).told.endswith(": 0 rows read\n")
    base.fill(range(10))
    flow.capture("--envelope", envelope)
    base.execute("update articles set content = 'second' where id = 3")
    # All are within the overlap and read again.
    assert flow.capture("--envelope", envelope).told.endswith("10 rows read: 9 known, 1 published\n")
    assert flow.sent() == 11
    assert flow.capture("--envelope", envelope, "--from-start").told.endswith("10 rows read: 10 published\n")
    assert flow.carried() == base.rows()
    assert flow.lane.letters() == []
