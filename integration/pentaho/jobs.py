"""What holds for a job: where it starts, where each entry leads, which transformations it runs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from integration.pentaho import plugins
from integration.pentaho.documents import VARIABLE, Document, Node, Unreadable, read
from integration.pentaho.structure import Said

ENDS = frozenset({"SUCCESS", "ABORT"})
DIRECTORY = "${Internal.Entry.Current.Directory}/"
NAME = re.compile(r"\s*([\w.]+)\s*=")


@dataclass(frozen=True)
class Started:
    """The transformations that a job starts, by the name of the entry, as far as they can be read."""

    by_entry: dict[str, Document]
    unreadable: dict[str, str]


def started(job: Document) -> Started:
    """Read them."""
    found: dict[str, Document] = {}
    unreadable: dict[str, str] = {}
    for node in job.nodes:
        if node.kind == "TRANS":
            try:
                found[node.name] = read(_path(job, node.text("filename")))
            except Unreadable as error:
                unreadable[node.name] = str(error)
    return Started(found, unreadable)


def set_by(job: Document, begun: Started) -> set[str]:
    """The variables that entries and the transformations they start set for the job."""
    names = {name for node in job.nodes for name in node.texts("fields/field/variable_name")}
    for node in job.nodes:
        if node.kind == "SET_VARIABLES" and node.text("filename"):
            names |= set().union(*map(_properties, _files(job, node)))
    for document in begun.by_entry.values():
        steps = (node for node in document.nodes if node.kind == "SetVariable")
        names |= {name for node in steps for name in node.texts("fields/field/variable_name")}
    return names


def job(document: Document, begun: Started) -> Said:
    """Everything that is wrong with a job."""
    starts = [node.name for node in document.nodes if node.kind == "SPECIAL" and node.text("start") == "Y"]
    if len(starts) != 1:
        yield "", f"starts at {len(starts)} entries"
    for name in sorted({node.name for node in document.nodes} - _reached(document, starts)):
        yield name, "is never reached"
    if not [node for node in document.nodes if node.kind == "SUCCESS"]:
        yield "", "has no entry for success"
    for node in document.nodes:
        yield from ((node.name, sentence) for sentence in _ways_out(document, node))
        yield from ((node.name, sentence) for sentence in _entry(document, node))
    yield from _transformations(document, begun)


def _reached(document: Document, starts: list[str]) -> set[str]:
    found = set(starts)
    ahead = list(starts)
    while ahead:
        here = ahead.pop()
        following = {hop.target for hop in document.hops if hop.source == here and hop.is_enabled} - found
        found |= following
        ahead += following
    return found


def _ways_out(document: Document, node: Node) -> Iterator[str]:
    hops = [hop for hop in document.hops if hop.source == node.name and hop.is_enabled]
    targets = {condition: [hop.target for hop in hops if hop.condition == condition] for condition in _CONDITIONS}
    if node.kind in ENDS:
        if hops:
            yield f"goes on to {hops[0].target!r}, where the job should end"
        return
    if node.kind in {"SPECIAL", "DELAY"}:
        if not targets["always"]:
            yield "has no way on"
        return
    if targets["always"]:
        yield f"goes on to {targets['always'][0]!r} whether it fails or not"
    for condition in ("yes", "no"):
        if len(targets[condition]) != 1:
            yield f"has {len(targets[condition])} ways on after {_CONDITIONS[condition]}"
    kinds = {each.name: each.kind for each in document.nodes}
    if targets["yes"] == targets["no"]:
        yield "goes the same way after success and failure"
    after_failure = {kinds.get(target) for target in targets["no"]}
    if node.kind != "SIMPLE_EVAL" and after_failure & {"SUCCESS", "TRANS", "SET_VARIABLES", "SQL"}:
        yield f"goes on to {targets['no'][0]!r} after a failure"


_CONDITIONS = {"always": "either", "yes": "success", "no": "failure"}


def _entry(document: Document, node: Node) -> Iterator[str]:
    if node.kind == "TRANS":
        yield from _trans(node)
    if node.kind == "SIMPLE_EVAL":
        yield from _evaluation(node)
    if node.kind == "SQL" and VARIABLE.search(node.text("sql")) and node.text("useVariableSubstitution") == "T":
        yield "pastes variables into SQL"
    if node.kind == "DELAY" and not re.fullmatch(r"\d+|\$\{\w+\}", node.text("maximumTimeout")):
        yield f"waits {node.text('maximumTimeout')!r}, which is no number"
    if node.kind == "SET_VARIABLES" and node.text("filename") and not _files(document, node):
        yield f"reads {node.text('filename')!r}, and there is no such file"
    if node.kind == "SET_VARIABLES" and "JVM" in node.texts("file_variable_type") + node.texts(
        "fields/field/variable_type"
    ):
        yield "sets variables for the whole JVM"


def _trans(node: Node) -> Iterator[str]:
    if node.text("specification_method") != "filename" or node.text("transname"):
        yield "takes its transformation from a repository, not from a file"
    if node.text("wait_until_finished") != "Y":
        yield "does not wait until the transformation has ended, and takes it for done"
    if node.text("exec_per_row") != "N":
        yield "runs once for each row of a result"
    if node.text("parameters/pass_all_parameters") != "Y":
        yield "does not pass the job's parameters"


def _evaluation(node: Node) -> Iterator[str]:
    if node.text("valuetype") != "variable" or not node.text("variablename"):
        yield "looks at no variable"
    if node.text("successcondition") not in plugins.EVALUATIONS:
        yield f"compares by {node.text('successcondition')!r}, which PDI takes for 'equal'"
    if node.text("successwhenvarset") == "Y":
        yield "looks only whether the variable is set"
    if node.text("successcondition") == "regexp":
        try:
            re.compile(node.text("comparevalue"))
        except re.error as error:
            yield f"has a regular expression that is none: {error}"


def _transformations(document: Document, begun: Started) -> Said:
    yield from begun.unreadable.items()
    given = {parameter.name for parameter in document.parameters} | set_by(document, begun)
    for entry, transformation in begun.by_entry.items():
        for parameter in transformation.parameters:
            if parameter.name not in given:
                yield entry, f"starts {transformation.path.name}, whose parameter {parameter.name} nobody sets"
    used = {name for each in begun.by_entry.values() for name in (parameter.name for parameter in each.parameters)}
    text = "".join(each.text or "" for each in document.element.iter() if each.tag != "description")
    text += "".join(path.read_text(encoding="utf-8") for node in document.nodes for path in _files(document, node))
    for parameter in document.parameters:
        if parameter.name not in used and f"${{{parameter.name}}}" not in text:
            yield "", f"declares the parameter {parameter.name} and does not use it"


def _path(document: Document, filename: str) -> Path:
    return document.path.parent / filename.removeprefix(DIRECTORY)


def _files(document: Document, node: Node) -> list[Path]:
    """The properties files that an entry may read, whatever its variables say."""
    if node.kind != "SET_VARIABLES" or not node.text("filename"):
        return []
    return sorted(document.path.parent.glob(VARIABLE.sub("*", node.text("filename").removeprefix(DIRECTORY))))


def _properties(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    return {found[1] for line in text.splitlines() if not line.startswith("#") and (found := NAME.match(line))}


def properties_that_differ(document: Document) -> Said:
    """Names that only some of the properties files set that stand for one another."""
    for node in document.nodes:
        files = {path: _properties(path) for path in _files(document, node)}
        every = set().union(*files.values())
        for path, names in files.items():
            for name in sorted(every - names):
                yield node.name, f"may read {path.name}, which does not set {name}"
