"""The SDL kept in docs/schema. `python -m tests.gateway.sdl` writes it anew, breaking changes once acknowledged."""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from graphql import BreakingChange, GraphQLSchema, build_schema, find_schema_changes

from graphql_gateway.types.federation import MACHINERY
from tests.gateway.demo import running

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "schema"
COMMAND = "python -m tests.gateway.sdl"
ACKNOWLEDGE = "--acknowledge-breaking"


def kept() -> dict[str, str]:
    """The SDL in the repository, by name."""
    return {path.stem: path.read_text() for path in FOLDER.glob("*.graphql")}


def breaking_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """What clients of the SDL before would find missing or refused, one line each."""
    gone = [f"{name}: is gone" for name in sorted(before.keys() - after.keys())]
    return gone + [
        f"{name}: {change.description}"
        for name in sorted(before.keys() & after.keys())
        for change in find_schema_changes(_schema(before[name]), _schema(after[name]))
        if isinstance(change, BreakingChange)
    ]


def _schema(sdl: str) -> GraphQLSchema:
    return build_schema(sdl + MACHINERY.read_text(), assume_valid=True)


def main() -> int:
    """Write what there is now; 1 and nothing written where that breaks clients and is not acknowledged."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Keep the SDL of the graph in docs/schema.")
    parser.add_argument(ACKNOWLEDGE, action="store_true", help="write changes that break clients too")
    is_acknowledged = parser.parse_args().acknowledge_breaking
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as demo:
        now = demo.sdl
    broken = breaking_changes(kept(), now)
    if broken and not is_acknowledged:
        sys.stderr.write("\n".join([*broken, f"if that is meant: {COMMAND} {ACKNOWLEDGE}\n"]))
        return 1
    FOLDER.mkdir(exist_ok=True)
    for name, text in now.items():
        (FOLDER / f"{name}.graphql").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
