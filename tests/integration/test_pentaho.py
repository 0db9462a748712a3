"""The Pentaho job on a runner of its step types: what is in base A is in base B, whatever happens in between."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.bases import Base, synced, times_created
from tests.integration.pentaho.route import Pentaho
from tests.live import LiveCore

RouteOn = Callable[[Base], Pentaho]
SMALL = {"BATCH_SIZE": "100", "PASS_ROWS": "400"}


@pytest.fixture
def route_on(live_core: LiveCore, tmp_path: Path, origin: str) -> RouteOn:
    """The job between a base and the core, with small batches and passes."""
    return lambda base: Pentaho(live_core, tmp_path, base, origin, more=SMALL)


@pytest.fixture
def route(route_on: RouteOn, base: Base) -> Pentaho:
    """The job between the base on SQLite and the core."""
    return route_on(base)


def assert_in_step(route: Pentaho) -> None:
    """Base B has just the rows of base A."""
    assert synced(route.core, route.origin) == route.base.rows()


@pytest.mark.scenario("insert", "pentaho")
@pytest.mark.scenario("many_pages", "pentaho")
@pytest.mark.scenario("unchanged", "pentaho")
def test_a_first_run_brings_everything_and_a_second_changes_nothing(route_on: RouteOn, any_base: Base) -> None:
    route = route_on(any_base)
    any_base.fill(range(1, 1_251))  # neither the batch nor the pass divides it
    first = route.run()
    assert first.code == 0, first.told
    assert_in_step(route)
    assert route.run().code == 0
    assert set(times_created(route.core, route.origin).values()) == {1}
