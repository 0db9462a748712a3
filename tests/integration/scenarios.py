"""What may happen to a route, by name; each test says by a mark which of it it shows, and on which route.

`python -m tests.integration.scenarios` writes the table in docs/SCENARIOS.md.
"""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
TABLE = FOLDER.parents[1] / "docs" / "SCENARIOS.md"
HEAD = """# What may happen to a route, and which test shows what becomes of it

Written by `python -m tests.integration.scenarios` from the marks of the tests in tests/integration; all of them run
with `./test.sh`. A cell names the file and the test; a number stands for a reason below.

"""

ROUTES = ("script", "kafka", "pentaho", "synapse")
WHOLE = ("script", "kafka")
"""Routes for which each scenario is shown, or said why it cannot come."""
FEWEST = 8
"""How many scenarios the others show at least."""

SCENARIOS = {
    "insert": "a new row",
    "update": "a changed row",
    "delete": "a deleted row",
    "delete_and_recreate": "a key is deleted and created again",
    "update_then_delete": "a row is changed and deleted before the route looks",
    "equal_timestamps": "more rows of one time than a page or a batch has",
    "late_commit": "a row commits after younger ones were carried",
    "late_beyond_overlap": "a row commits later than the overlap reaches back",
    "clock_skew": "writers' clocks are minutes apart",
    "no_time": "a row without a time",
    "delivered_twice": "a change comes twice",
    "out_of_order": "changes of a key come in another order",
    "older_after_newer": "an older change comes after a newer one",
    "unchanged": "a row comes again as it is",
    "local_edit": "somebody edits an article in the core before the source's next change",
    "other_origin": "another source has the same ids",
    "not_json": "a message that is not JSON",
    "wrong_schema": "a message or an answer of another schema",
    "unknown_operation": "an operation that nobody knows",
    "null_key": "a change without a key",
    "five_megabytes": "a change of 5 MB",
    "refused_row": "a row that the core refuses",
    "poison_among_good": "a bad change between good ones",
    "strange_text": "zero bytes, lone surrogates, emoji, quotes",
    "no_version": "a change without a version, or with one beyond 64 bits",
    "mended_row": "a parked row is mended at the source",
    "schema_change": "a column of the source goes while the route runs",
    "new_column": "the source has a new column",
    "other_names": "the source's tables and columns have other names",
    "empty_source": "the source has no rows",
    "many_pages": "the first run has many pages",
    "mass_delete": "the source is suddenly empty",
    "core_down_at_start": "the core is away when the route starts",
    "core_down_midway": "the core is away in the middle, and comes back",
    "core_fails": "30 % of the core's answers are 5xx",
    "core_cut": "the core's answers are cut off",
    "core_doubled": "the core is sent requests twice",
    "core_slow": "the core takes longer than the route waits",
    "core_busy": "the core says 429 or 503 with Retry-After",
    "core_database_down": "base B is away behind the core",
    "source_down_at_start": "base A or the broker is away when the route starts",
    "source_down_midway": "base A or the broker is away in the middle, and comes back",
    "killed": "kill -9 at any point",
    "terminated": "SIGTERM in the middle",
    "full_disk": "no room for what the route remembers",
    "two_copies": "two copies of the route at once",
    "rebalance": "members of the group come and go",
    "token_ends": "the token ends in the middle",
    "wrong_password": "the core refuses the login",
    "role_too_low": "the route's user may not write",
}

NOT_APPLICABLE: dict[tuple[str, str], str] = {
    ("not_json", "script"): "it reads rows of a table, not messages",
    ("unknown_operation", "script"): "it reads rows of a table, not messages",
    ("rebalance", "script"): "it has no group: of two copies with one state the second does not start",
}
"""Why a scenario cannot come on a route, by (scenario, route)."""


@dataclass(frozen=True)
class Shown:
    """A test shows a scenario on a route."""

    scenario: str
    route: str
    test: str


def mistakes(shown: Iterable[Shown]) -> Iterator[str]:
    """What is wrong with the table: names nobody knows, gaps, reasons for what is shown after all."""
    cells = {(each.scenario, each.route) for each in shown}
    for scenario, route in sorted(cells | NOT_APPLICABLE.keys()):
        if scenario not in SCENARIOS or route not in ROUTES:
            yield f"nobody knows {scenario} on {route}"
    for scenario, route in sorted(cells & NOT_APPLICABLE.keys()):
        yield f"{scenario} is shown on {route} and said not to come there"
    for route in WHOLE:
        for scenario in SCENARIOS:
            if (scenario, route) not in cells | NOT_APPLICABLE.keys():
                yield f"{scenario} is not shown on {route}"
    for route in set(ROUTES) - set(WHOLE):
        count = sum(each == route for _, each in cells)
        if count < FEWEST:
            yield f"{route} shows {count} scenarios, fewer than {FEWEST}"


def shown(folder: Path = FOLDER) -> list[Shown]:
    """What the tests in a folder show, by their marks, in the order of files and lines."""
    return [each for path in sorted(folder.rglob("test_*.py")) for each in _marks(path)]


def _marks(path: Path) -> Iterator[Shown]:
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and function.name.startswith("test_"):
            for scenario, route in map(_mark, ast.walk(function)):
                if scenario:
                    yield Shown(scenario, route, f"{path.stem}::{function.name}")


def _mark(node: ast.AST) -> tuple[str, str]:
    """Scenario and route of a mark; empty where it is none."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.scenario":
        scenario, route = (ast.literal_eval(argument) for argument in node.args)
        return scenario, route
    return "", ""


def table() -> str:
    """The page."""
    cells: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in shown():
        cells[each.scenario, each.route].append(each.test)
    reasons = sorted(set(NOT_APPLICABLE.values()))
    lines = [f"| scenario | {' | '.join(ROUTES)} |", "|---" * (len(ROUTES) + 1) + "|"]
    for scenario, meaning in SCENARIOS.items():
        found = (_cell(cells[scenario, route], NOT_APPLICABLE.get((scenario, route)), reasons) for route in ROUTES)
        lines.append(f"| **{scenario}**: {meaning} | {' | '.join(found)} |")
    counts = ", ".join(f"{route} {sum(each == route for _, each in filter(cells.get, cells))}" for route in ROUTES)
    notes = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    return "\n".join([f"{HEAD}{len(SCENARIOS)} scenarios; shown on {counts}.\n", *lines, "", *notes, ""])


def _cell(tests: list[str], reason: str | None, reasons: list[str]) -> str:
    if reason is not None:
        return f"n/a ({reasons.index(reason) + 1})"
    return "<br>".join(f"`{test}`" for test in dict.fromkeys(tests)) or "–"


if __name__ == "__main__":
    TABLE.write_text(table())
