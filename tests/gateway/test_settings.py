"""The gateway's settings: all mistakes at once, each with its name and what is expected."""

import subprocess
import sys
from pathlib import Path

import pytest

from graphql_gateway.settings import Settings, SettingsError
from tests.live import ROOT


def test_all_mistakes_are_told_at_once() -> None:
    wrong = {
        "CORE_URL": "ftp://core",
        "TRUSTED_PROXIES": "everybody",
        "GATEWAY_DEADLINE_SECONDS": "soon",
        "GRAPHQL_DEPTH": "0",
        "LOG_LEVEL": "LOUD",
    }
    with pytest.raises(SettingsError) as caught:
        Settings.load(wrong)
    assert [mistake.split(": expected")[0] for mistake in sorted(caught.value.mistakes)] == sorted(wrong)


@pytest.mark.parametrize(
    "url",
    [
        "core:5000",
        "http://",
        "http://user:password@core",
        "http://core/?a=b",
        "http://core/#a",
        "http://core:x",
        "http://a b",
    ],
)
def test_a_core_url_is_that_of_a_server(url: str) -> None:
    with pytest.raises(SettingsError, match="CORE_URL: expected"):
        Settings.load({"CORE_URL": url})


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("CORE_URL=http://from-file:1\nGRAPHQL_DEPTH=20\nJWT_SECRETS=of-the-core\n")
    settings = Settings.load({"CORE_URL": "http://from-environment:2/"}, file)
    assert (settings.core_url, settings.graphql_depth) == ("http://from-environment:2", 20)


def test_secrets_do_not_show() -> None:
    assert "hidden" not in repr(Settings.load({"METRICS_TOKEN": "hidden"}))


def test_the_check_ends_with_2_and_a_line_for_each_mistake(tmp_path: Path) -> None:
    environ = {"PYTHONPATH": str(ROOT), "CORE_URL": "x", "GRAPHQL_TOKENS": "y"}
    check = [sys.executable, "-m", "graphql_gateway"]
    done = subprocess.run(check, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["setting CORE_URL", "setting GRAPHQL_TOKENS"]
