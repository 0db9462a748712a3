"""What holds for a transformation: its order, its rows, its error paths."""

from collections import Counter
from collections.abc import Iterator

from integration.pentaho import neighbours, step_rules
from integration.pentaho.documents import Document, Node, text_of
from integration.pentaho.layouts import Flow, Layout, flow_of, uses
from integration.pentaho.plugins import ERROR_HANDLING
from integration.pentaho.structure import Said

MOST_ROWS_BETWEEN_STEPS = 100
"""Of batches, each as large as a request, so many wait between two steps."""


def transformation(document: Document) -> Said:
    """Everything that is wrong with the way of the rows."""
    size = text_of(document.element, "info/size_rowset")
    if not size.isdigit() or not 0 < int(size) <= MOST_ROWS_BETWEEN_STEPS:
        yield "", f"holds {size} rows between two steps: batches are large, from 1 to {MOST_ROWS_BETWEEN_STEPS} will do"
    yield from _error_paths(document)
    order = _ordered(document)
    left = [node.name for node in document.nodes if node not in order]
    for name in left:
        yield name, "is in a circle of hops, or behind one"
    flow = flow_of(document, order)
    for node in order:
        yield from ((node.name, sentence) for sentence in _step(document, node, flow))


def _ordered(document: Document) -> list[Node]:
    """Steps in an order in which rows reach them, without those that they reach in a circle."""
    hops = [hop for hop in document.hops if hop.is_enabled]
    missing = Counter(hop.target for hop in hops)
    ready = [node for node in document.nodes if not missing[node.name]]
    order: list[Node] = []
    while ready:
        node = ready.pop(0)
        order.append(node)
        for hop in (hop for hop in hops if hop.source == node.name):
            missing[hop.target] -= 1
            if not missing[hop.target]:
                ready += [each for each in document.nodes if each.name == hop.target]
    return order


def _error_paths(document: Document) -> Said:
    kinds = {node.name: node.kind for node in document.nodes}
    hops = {(hop.source, hop.target) for hop in document.hops if hop.is_enabled}
    for path in document.error_paths:
        if (path.source, path.target) not in hops:
            yield path.source, f"has its error handling lead to {path.target!r}, where no hop leads"
        if not path.is_enabled:
            yield path.source, "has its error handling switched off"
        if kinds.get(path.source) not in ERROR_HANDLING:
            yield path.source, "cannot handle errors"
        if not path.fields:
            yield path.source, "has its error handling tell nothing of the error"


def _step(document: Document, node: Node, flow: Flow) -> Iterator[str]:
    yield from _ways_out(document, node)
    layouts = flow.inputs.get(node.name, ())
    if len(layouts) > 1:
        shown = " and ".join("?" if layout is None else str([field.name for field in layout]) for layout in layouts)
        yield f"is given rows of mixed layouts: {shown}"
    layout = flow.of(node.name)
    if layout is not None:
        yield from _fields(node, layout)
    if node.kind in step_rules.RULES:
        yield from step_rules.RULES[node.kind](node)
    if node.kind in neighbours.RULES:
        yield from neighbours.RULES[node.kind](document, node)


def _ways_out(document: Document, node: Node) -> Iterator[str]:
    errors = {(path.source, path.target) for path in document.error_paths if path.is_enabled}
    following = [hop for hop in document.hops if hop.source == node.name and (hop.source, hop.target) not in errors]
    if node.text("copies") != "1":
        yield f"runs in {node.text('copies')} copies, which get ahead of each other"
    if node.kind != "FilterRows" and len(following) > 1 and node.text("distribute") == "Y":
        yield "deals its rows out to its targets in turn, so that each has a part of them only"
    if node.kind in {"GetVariable", "TableInput", "JsonOutput"} and not following:
        yield "has its rows go nowhere"


def _fields(node: Node, layout: Layout) -> Iterator[str]:
    found = {field.name: field for field in layout}
    for name in dict.fromkeys(uses(node)):
        if name not in found:
            yield f"uses the field {name!r}, which its rows do not have: {list(found)}"
        elif found[name].is_lost and node.kind != "SelectValues":
            yield f"uses the field {name!r}, which is null in the last batch: JSON Output passes only its own there"
    for name, count in Counter(field.name for field in layout).items():
        if count > 1:
            yield f"has {count} fields called {name!r}"
    shown = set(found) if node.kind == "Abort" else set(uses(node)) if node.kind == "WriteToLog" else set()
    for name in sorted(shown & {field.name for field in layout if field.is_secret}):
        yield f"writes {name!r} to the log, in which there is a secret"
