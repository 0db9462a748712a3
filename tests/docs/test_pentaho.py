"""`docs/INTEGRATION.md` names every parameter of Pentaho's job and every way in which it ends."""

import re
from pathlib import Path

import pytest

from integration.pentaho.documents import read
from integration.pentaho.secrets import KETTLE_PROPERTIES
from tests.integration.pentaho.mutants import JOB, MUTANTS
from tests.integration.pentaho.route import FILES
from tests.live import ROOT

SECTION = (ROOT / "docs" / "INTEGRATION.md").read_text(encoding="utf-8").split("\n## Pentaho\n")[1].split("\n## ")[0]


def test_every_parameter_is_described_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \|", SECTION, re.MULTILINE)
    declared = [(each.name, f"`{each.default}`" if each.default else "–") for each in read(FILES / JOB).parameters]
    assert rows == declared


def test_every_variable_of_kettle_properties_is_described() -> None:
    assert [name for name in KETTLE_PROPERTIES if f"{name}=" not in SECTION] == []


def test_every_last_line_is_described() -> None:
    messages = [
        re.sub(r"\$\{\w+\}", "…", node.text("message")) for node in read(FILES / JOB).nodes if node.text("message")
    ]
    assert [message for message in messages if f"| `{message}` |" not in SECTION] == []


@pytest.mark.parametrize("path", sorted(FILES.glob("*.properties")), ids=lambda path: path.stem)
def test_every_property_of_a_base_a_is_described(path: Path) -> None:
    names = re.findall(r"^(\w+)=", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert names
    assert [name for name in names if f"`{name}`" not in SECTION] == []


def test_the_number_of_mistakes_that_are_found_is_right() -> None:
    assert f"each of {len(MUTANTS)} small mistakes" in SECTION
