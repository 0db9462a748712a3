"""The demo as it comes, behind a gateway."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import live
from tests.gateway.conftest import GraphQL
from tests.live import LiveCore

SDL = "{ _service { sdl } }"


@dataclass(frozen=True)
class Demo:
    """A core with the demo data, and the URL of a gateway before it."""

    core: LiveCore
    url: str

    @property
    def sdl(self) -> Mapping[str, str]:
        """What composers are told for a caller without grants, and for the administrator."""
        tokens = {
            "static": self.core.add_user("reader"),
            "demo_administrator": self.core.log_in("admin", self.core.admin_password),
        }
        clients = {name: GraphQL(self.url, {"Authorization": f"Bearer {token}"}) for name, token in tokens.items()}
        return {name: str(client.result(SDL)["sdl"]) for name, client in clients.items()}


@contextmanager
def running(folder: Path) -> Iterator[Demo]:
    """The demo, until the block ends."""
    data_dir = folder / "core"
    live.prepare(data_dir)
    live._run([sys.executable, "-m", "rest_api.cli", "demo"], data_dir, live._core_environment(data_dir, {}))
    with live.core(data_dir) as core, live.gateway(core.url, folder / "gateway") as gateway:
        yield Demo(core, gateway.url)


@pytest.fixture(scope="session")
def demo_sdl(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The SDL of the static part and of the demo's administrator, by these names."""
    with running(tmp_path_factory.mktemp("demo")) as demo:
        return demo.sdl
