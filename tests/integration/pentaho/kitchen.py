"""`python -m tests.integration.pentaho.kitchen -file=JOB [-param:NAME=VALUE…]`: runs a job as PDI's kitchen does."""

import os
import random
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from integration.pentaho.documents import Document, Node, read, text_of
from tests.integration.pentaho.databases import connected
from tests.integration.pentaho.transformation import Run, run_transformation
from tests.integration.pentaho.values import KettleError, Variables, properties, substituted
from tests.integration.pentaho.web_steps import KINDS

LOOPS = 1_000
DIRECTORY = "Internal.Entry.Current.Directory"


@dataclass
class Job:
    """A job under way."""

    document: Document
    variables: Variables
    tell: Callable[[str], None]
    pause: Callable[[float], None]
    chance: random.Random

    def run(self) -> bool:
        """Follow the hops from the start; gives how the last entry ended."""
        here = next(node for node in self.document.nodes if node.text("start") == "Y")
        result = True
        for _ in range(LOOPS):
            result = self._execute(here, result)
            following = [
                hop.target
                for hop in self.document.hops
                if hop.source == here.name and hop.is_enabled and hop.condition in {"always", "yes" if result else "no"}
            ]
            if not following:
                return result
            if len(following) > 1:
                raise KettleError(f"{here.name}: the runner follows one hop, not {following}")
            here = self.document.node(following[0])
        raise KettleError("the job goes round and round")

    def _execute(self, node: Node, before: bool) -> bool:
        kinds: dict[str, Callable[[Node], bool]] = {
            "SPECIAL": lambda _: True,
            "SUCCESS": lambda _: True,
            "ABORT": self._abort,
            "DELAY": self._delay,
            "SET_VARIABLES": self._set,
            "SIMPLE_EVAL": self._evaluate,
            "SQL": self._sql,
            "TRANS": self._transformation,
        }
        try:
            result = kinds[node.kind](node)
        except KettleError as error:
            self.tell(f"{node.name}: {error}")
            result = False
        self.tell(f"{node.name}: {'done' if result else 'failed'}")
        return result

    def _text(self, node: Node, path: str) -> str:
        return substituted(node.text(path), self.variables)

    def _abort(self, node: Node) -> bool:
        self.tell(f"{node.name}: {self._text(node, 'message')}")
        return False

    def _delay(self, node: Node) -> bool:
        seconds = self._text(node, "maximumTimeout")
        if not seconds.isdigit():
            return False
        self.pause(float(seconds))
        return True

    def _set(self, node: Node) -> bool:
        found: Variables = {}
        if node.text("filename"):
            found = properties(Path(self._text(node, "filename")))
        for each in node.all("fields/field"):
            found[text_of(each, "variable_name")] = text_of(each, "variable_value")
        self.variables.update({name: substituted(value, self.variables) for name, value in found.items()})
        return True

    def _evaluate(self, node: Node) -> bool:
        name = node.text("variablename")
        value = substituted(name if "${" in name else f"${{{name}}}", self.variables)
        compared = self._text(node, "comparevalue")
        if node.text("successcondition") == "regexp":
            return re.fullmatch(compared, value) is not None
        return value == compared

    def _sql(self, node: Node) -> bool:
        element = next(each for each in self.document.connections if text_of(each, "name") == node.text("connection"))
        with connected(element, self.variables) as connection:
            for statement in node.text("sql").split(";"):
                connection.execute(statement)
            connection.commit()
        return True

    def _transformation(self, node: Node) -> bool:
        document = read(Path(self._text(node, "filename")))
        variables = activated(document, {}) | self.variables
        run = Run(document, variables, self.variables, self.tell, self.chance)
        return run_transformation(run, KINDS)


def activated(document: Document, given: Variables) -> Variables:
    """The parameters with what is given, else their default: even where that is empty and a variable was there."""
    return {each.name: given.get(each.name) or each.default for each in document.parameters}


def kitchen(
    arguments: Sequence[str],
    kettle_properties: Variables,
    tell: Callable[[str], None],
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Run a job by the arguments of kitchen.sh; gives its exit code."""
    options = dict(each.removeprefix("-").removeprefix("param:").split("=", 1) for each in arguments)
    path = Path(options.pop("file")).resolve()
    document = read(path)
    inherited = {DIRECTORY: str(path.parent), **kettle_properties}
    variables = inherited | activated(document, options)
    job = Job(document, variables, tell, pause, random.Random(kettle_properties.get("SEED")))
    return 0 if job.run() else 1


def main() -> int:
    """Run the job that the command line names, with kettle.properties below KETTLE_HOME."""
    home = Path(os.environ["KETTLE_HOME"])
    return kitchen(sys.argv[1:], properties(home / ".kettle" / "kettle.properties"), _tell)


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
