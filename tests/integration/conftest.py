"""Bases A of all kinds, each with an origin of its own in the core that all tests share."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.bases import Base, mariadb_base, postgresql_base, sqlite_base
from tests.integration.script import Script
from tests.live import LiveCore, prepare


@pytest.fixture
def origin() -> str:
    """A name that no other test has."""
    return f"a_{secrets.token_hex(6)}"


@pytest.fixture
def base(tmp_path: Path, origin: str) -> Iterator[Base]:
    """A base A on SQLite, with row versions."""
    with sqlite_base(tmp_path, origin) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def any_base(request: pytest.FixtureRequest, tmp_path: Path, origin: str) -> Iterator[Base]:
    """A base A, once of each kind."""
    if request.param == "sqlite":
        with sqlite_base(tmp_path, origin) as found:
            yield found
    else:
        opened = postgresql_base if request.param == "postgresql" else mariadb_base
        with opened(request.getfixturevalue(f"{request.param}_url")) as found:
            yield found


@pytest.fixture
def script_on(live_core: LiveCore, tmp_path: Path, origin: str) -> Callable[[Base], Script]:
    """The script between a base and the core."""
    return lambda base: Script(live_core, tmp_path, base.url, origin)


@pytest.fixture
def script(script_on: Callable[[Base], Script], base: Base) -> Script:
    """The script between the base on SQLite and the core."""
    return script_on(base)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with secrets and a database, as a start makes them, to be copied."""
    folder = tmp_path_factory.mktemp("prepared")
    prepare(folder)
    return folder
