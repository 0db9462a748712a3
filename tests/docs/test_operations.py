"""`docs/OPERATIONS.md` names every setting with its default, and every command."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from graphql_gateway.settings import Settings as GatewaySettings
from rest_api.cli import main
from rest_api.settings import Settings

DOCUMENT = (Path(__file__).parents[2] / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("settings", [Settings, GatewaySettings], ids=["core", "gateway"])
def test_every_setting_is_described_with_its_default(settings: Any) -> None:
    missing = [row for row in map(_row, fields(settings)) if row not in DOCUMENT]
    assert missing == []


def test_every_command_is_described() -> None:
    assert [name for name in main.commands if f"| `{name}" not in DOCUMENT] == []


def _row(field: Any) -> str:
    default = field.metadata["default"]
    shown = "(required)" if default is None else f"`{default}`" if default else ""
    return f"| `{field.name.upper()}` | {shown} | {field.metadata['meaning']} |"
