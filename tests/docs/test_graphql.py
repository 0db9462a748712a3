"""`docs/GRAPHQL.md` has a row for every code that an error can bear, and none for another."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graphql_gateway.errors import Failure
from rest_api.errors import Refusal

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "GRAPHQL.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([A-Z_]+)` \|", re.MULTILINE)


def descendants(kind: type[Any]) -> Iterator[type[Any]]:
    """A class and all below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from descendants(below)


def written(package: str) -> Iterator[ast.expr]:
    """What is given as a code anywhere in a package: `f(code=…)`, and `code = …` in a class."""
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield from (keyword.value for keyword in node.keywords if keyword.arg == "code")
            if isinstance(node, ast.ClassDef):
                yield from (each.value for each in node.body if isinstance(each, ast.Assign) and is_code(each.targets))


def is_code(targets: list[ast.expr]) -> bool:
    """Whether an assignment is to `code`."""
    return [target.id for target in targets if isinstance(target, ast.Name)] == ["code"]


def named(package: str) -> set[str]:
    """The codes that are written as texts in a package."""
    values = (node.value for node in written(package) if isinstance(node, ast.Constant))
    return {value for value in values if isinstance(value, str)}


def codes(package: str, root: type[Any]) -> set[str]:
    """All codes of a package, in capitals."""
    declared = {kind.code for kind in descendants(root) if isinstance(getattr(kind, "code", None), str)}
    return {code.upper() for code in declared | named(package)}


@pytest.mark.parametrize(("package", "root"), [("rest_api", Refusal), ("graphql_gateway", Failure)])
def test_every_code_has_its_row(package: str, root: type[Any]) -> None:
    assert codes(package, root) - set(ROW.findall(DOCUMENT)) == set()


def test_every_row_is_of_a_code_that_there_is() -> None:
    rows = ROW.findall(DOCUMENT)
    assert set(rows) - codes("rest_api", Refusal) - codes("graphql_gateway", Failure) == set()
    assert len(rows) == len(set(rows))


def test_a_new_code_of_the_core_would_lack_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rest_api").mkdir()
    (tmp_path / "rest_api" / "new.py").write_text('raise Conflict("No", code="brand_new")')
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    assert codes("rest_api", Refusal) - set(ROW.findall(DOCUMENT)) == {"BRAND_NEW"}
