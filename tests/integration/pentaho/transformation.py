"""Runs a transformation: rows are pushed from step to step, and each step says when it has no more."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from xml.etree.ElementTree import Element

from integration.pentaho.documents import Document, Node, text_of
from tests.integration.pentaho.values import KettleError, Row, Variables, substituted

MOST_UNDER_WAY = 2
"""So many batches PDI may still send after an Abort, since its steps run at once."""


class Stopped(Exception):
    """The transformation has been stopped; nothing more is sent."""


@dataclass
class Run:
    """A transformation under way, with the variables that it has and those of the job that started it."""

    document: Document
    variables: Variables
    job_variables: Variables
    tell: Callable[[str], None]
    chance: random.Random
    errors: int = 0
    is_stopped: bool = False
    under_way: int = 0
    steps: "dict[str, Step]" = field(default_factory=dict)
    counters: "dict[str, tuple[int, count[int]]]" = field(default_factory=dict)

    def text(self, value: str) -> str:
        """A text with the variables put in."""
        return substituted(value, self.variables)

    def connection(self, name: str) -> Element:
        """The connection of that name. Raises KettleError."""
        for element in self.document.connections:
            if text_of(element, "name") == name:
                return element
        raise KettleError(f"no connection {name!r}")

    def stop(self) -> None:
        """Stop with an error; what is under way may still be sent."""
        self.errors += 1
        self.is_stopped = True
        self.under_way = self.chance.randint(0, MOST_UNDER_WAY)

    def admit_call(self) -> None:
        """Raise Stopped where nothing may be sent any more."""
        if self.is_stopped:
            if not self.under_way:
                raise Stopped
            self.under_way -= 1


class Step:
    """A step: takes rows, puts rows."""

    def __init__(self, node: Node, run: Run) -> None:
        self.node = node
        self.run = run
        self.open_inputs = 0
        self.targets: list[Step] = []
        self.error_target: Step | None = None
        self.error_fields: tuple[str, ...] = ()
        self.layout: tuple[str, ...] | None = None
        self.turn = 0

    def accept(self, row: Row) -> None:
        """Take a row of the layout of those before. Raises KettleError."""
        layout = tuple(row)
        if self.layout not in {None, layout}:
            raise KettleError(f"{self.node.name}: rows of mixed layouts {self.layout} and {layout}")
        self.layout = layout
        self.take(row)

    def take(self, row: Row) -> None:
        """Work on a row."""
        self.put(row)

    def finish(self) -> None:
        """No more rows come."""

    def put(self, row: Row) -> None:
        """Give a row to the next steps: to each a copy, or to one after the other."""
        if self.node.text("distribute") == "Y" and self.targets:
            self.targets[self.turn % len(self.targets)].accept(row)
            self.turn += 1
            return
        for target in self.targets:
            target.accept(dict(row))

    def value(self, row: Row, name: str) -> Any:
        """A field of a row. Raises KettleError."""
        if name not in row:
            raise KettleError(f"{self.node.name}: no field {name!r} among {list(row)}")
        return row[name]

    def text(self, path: str) -> str:
        """What a tag says, with the variables put in."""
        return self.run.text(self.node.text(path))

    def end(self) -> None:
        """An input has ended; with the last one this step ends too."""
        self.open_inputs -= 1
        if self.open_inputs <= 0:
            self.finish()
            following = [*self.targets, *([self.error_target] if self.error_target else [])]
            for target in following:
                target.end()


def run_transformation(
    run: Run,
    kinds: Mapping[str, type[Step]],
) -> bool:
    """Run it to its end; gives whether it had no errors."""
    try:
        _connect(run, kinds)
        for step in [step for step in run.steps.values() if not step.open_inputs]:
            step.end()
    except Stopped:
        pass
    except KettleError as error:
        run.errors += 1
        run.tell(f"{run.document.path.stem}: {error}")
    return not run.errors


def _connect(run: Run, kinds: Mapping[str, type[Step]]) -> None:
    for node in run.document.nodes:
        if node.kind not in kinds:
            raise KettleError(f"no plugin for the step type {node.kind!r}")
        run.steps[node.name] = kinds[node.kind](node, run)
    error_hops = {(path.source, path.target): path for path in run.document.error_paths if path.is_enabled}
    for hop in (hop for hop in run.document.hops if hop.is_enabled):
        source, target = run.steps[hop.source], run.steps[hop.target]
        target.open_inputs += 1
        path = error_hops.get((hop.source, hop.target))
        if path is None:
            source.targets.append(target)
        else:
            source.error_target, source.error_fields = target, path.fields
