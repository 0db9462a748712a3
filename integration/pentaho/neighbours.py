"""What holds for a step among those before and behind it."""

from collections.abc import Callable, Iterator

from integration.pentaho.documents import Document, Node, text_of
from integration.pentaho.layouts import query_of, uses


def downstream(document: Document, name: str) -> list[Node]:
    """The steps that a step's rows may reach, without the way of its errors."""
    errors = {(path.source, path.target) for path in document.error_paths}
    found: list[str] = []
    ahead = [name]
    while ahead:
        here = ahead.pop()
        for hop in document.hops:
            if hop.source == here and hop.target not in found and (hop.source, hop.target) not in errors:
                found.append(hop.target)
                ahead.append(hop.target)
    return [node for node in document.nodes if node.name in found]


def _filter(document: Document, node: Node) -> Iterator[str]:
    targets = {hop.target for hop in document.hops if hop.source == node.name and hop.is_enabled}
    ways = {tag: node.text(f"send_{tag}_to") for tag in ("true", "false")}
    for tag, target in ways.items():
        if not target:
            yield f"says not where to send what is {tag}: such rows are lost"
        elif target not in targets:
            yield f"sends what is {tag} to {target!r}, where no hop leads"
    for target in sorted(targets - set(ways.values())):
        yield f"has a hop to {target!r}, where it sends nothing"


def _json_input(document: Document, node: Node) -> Iterator[str]:
    looked_at = {name for each in downstream(document, node.name) for name in _asked_for_null(each)}
    if node.text("ignoreMissingPath") == "Y" and not looked_at & set(node.texts("fields/field/name")):
        yield "takes a path that finds nothing for null, and nobody looks whether it is"


def _asked_for_null(node: Node) -> Iterator[str]:
    for condition in node.element.iter("condition"):
        if text_of(condition, "function") in {"IS NULL", "IS NOT NULL"}:
            yield text_of(condition, "leftvalue")
    for each in node.all("fields/field"):
        if (node.kind, text_of(each, "type")) == ("GroupBy", "COUNT_ALL"):  # which leaves nulls out
            yield text_of(each, "subject")


def _rest(document: Document, node: Node) -> Iterator[str]:
    if not [path for path in document.error_paths if path.source == node.name and path.is_enabled]:
        yield "has no error handling: without an answer all of it ends in a stack trace"
    code = node.text("result/code")
    if not code:
        yield "keeps no status: an answer of 500 passes for a good one"
    elif not [each for each in downstream(document, node.name) if each.kind == "FilterRows" and code in uses(each)]:
        yield "has a status that no filter looks at: an answer of 500 passes for a good one"


def _sequence(document: Document, node: Node) -> Iterator[str]:
    for other in document.nodes:
        if other.kind == "Sequence" and other.name < node.name and _counter(other) == _counter(node):
            yield f"shares its counter with {other.name!r}: give each a name"


def _counter(node: Node) -> str:
    return node.text("counter_name") or node.text("valuename")


def _table_input(document: Document, node: Node) -> Iterator[str]:
    query = query_of(node.text("sql"))
    if query is None:
        return
    yield from _lookup(document, node, query.parameters)
    if not query.is_ordered and any(each.kind == "JsonOutput" for each in downstream(document, node.name)):
        yield "reads rows for batches in no order"


def _lookup(document: Document, node: Node, parameters: int) -> Iterator[str]:
    name = node.text("lookup")
    sources = {hop.source for hop in document.hops if hop.target == node.name and hop.is_enabled}
    for source in sorted(sources - {name}):
        yield f"is given rows by {source!r} and reads none"
    if not name:
        if parameters:
            yield f"has {parameters} question marks and no step that gives parameters"
        return
    if name not in sources:
        yield f"reads its parameters from {name!r}, from where no hop leads"
    given = sum(len(each.all("fields/field")) for each in document.nodes if each.name == name)
    if given != parameters:
        yield f"has {parameters} question marks, and {name!r} gives {given} parameters"


RULES: dict[str, Callable[[Document, Node], Iterator[str]]] = {
    "FilterRows": _filter,
    "JsonInput": _json_input,
    "Rest": _rest,
    "Sequence": _sequence,
    "TableInput": _table_input,
}
