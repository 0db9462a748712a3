"""The launcher's pure rules."""

from pathlib import Path

import pytest

from launcher.checks import CannotStart, resolve_host
from launcher.installation import CALLED_FROM, Installation
from launcher.monitoring import CONFIGURATION, DEFAULT_TARGETS, adapt
from launcher.options import Options
from launcher.supervisor import restart_delay_seconds


def installation(tmp_path: Path, host: str = "127.0.0.1", data_dir: str | None = None, **env: str) -> Installation:
    return Installation.of(Options(host, 5000, 8000, data_dir, with_demo=False), tmp_path, env)


def test_a_dying_service_is_restarted_ever_later_but_always() -> None:
    assert [restart_delay_seconds(deaths) for deaths in (1, 2, 3, 4, 5, 6, 7, 1000)] == [1, 2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize(
    ("host", "core_url"),
    [
        ("0.0.0.0", "http://127.0.0.1:5000"),
        ("::", "http://[::1]:5000"),
        ("127.0.0.3", "http://127.0.0.3:5000"),
    ],
)
def test_the_gateway_reaches_the_core_and_is_trusted_by_it(tmp_path: Path, host: str, core_url: str) -> None:
    made = installation(tmp_path, host, TRUSTED_PROXIES="10.0.0.1")
    assert made.gateway_environment()["CORE_URL"] == core_url
    assert made.core_environment()["TRUSTED_PROXIES"] == f"10.0.0.1,{made.reach}"
    assert installation(tmp_path, host).core_environment()["TRUSTED_PROXIES"] == made.reach


def test_the_data_folder_comes_from_the_option_then_the_environment_then_the_file(tmp_path: Path) -> None:
    called_from = tmp_path / "elsewhere"
    assert installation(tmp_path).data_dir == tmp_path / "var"
    (tmp_path / ".env").write_text("DATA_DIR=from-file\n")
    assert installation(tmp_path).data_dir == tmp_path / "from-file"
    env = {"DATA_DIR": "from-environment", CALLED_FROM: str(called_from)}
    assert installation(tmp_path, **env).data_dir == tmp_path / "from-environment"
    assert installation(tmp_path, data_dir="from-option", **env).data_dir == called_from / "from-option"


def test_prometheus_asks_the_ports_and_shows_the_token_of_this_start() -> None:
    text = CONFIGURATION.read_text()
    assert adapt(text, DEFAULT_TARGETS, None) == text
    adapted = adapt(text, ("[::1]:1", "[::1]:2", "127.0.0.1:3"), "/run/token")
    for target in ('"[::1]:1"', '"[::1]:2"', '"127.0.0.1:3"'):
        assert f"- targets: [{target}]" in adapted
    assert adapted.count("credentials_file: /run/token") == 3
    assert not [target for target in DEFAULT_TARGETS if target in adapted]


def test_a_host_name_becomes_an_address() -> None:
    assert resolve_host("localhost") in ("127.0.0.1", "::1")
    with pytest.raises(CannotStart, match="no address of this machine"):
        resolve_host("no such host")
