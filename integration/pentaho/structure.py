"""What holds for every file: names, types, tags, hops, connections."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from integration.pentaho.documents import Document, Node, text_of
from integration.pentaho.plugins import DATABASES, ENTRIES, ENTRY_TAGS, STEP_TAGS, STEPS

Said = Iterator[tuple[str, str]]
"""Pairs of a step's or an entry's name, '' for the file, and a sentence."""
SWITCHES = re.compile(
    "distribute|variables_active|execute_each_row|lazy_conversion_active|cached_row_meta_active|urlInField"
    "|dynamicMethod|preemptive|IsInFields|IsAFile|ignoreMissingPath|defaultPathLeafToNull|removeSourceField"
    "|pass_all_rows|update_bypassed|use_formatting|compatibility_mode|wait_until_finished|exec_per_row|replacevars"
)


def structure(document: Document) -> Said:
    """Everything that is wrong with the parts and how they are put together."""
    yield from _names(document)
    for node in document.nodes:
        yield from _tags(document, node)
    yield from _hops(document)
    yield from _connections(document)


def _names(document: Document) -> Said:
    if not text_of(document.element, "name" if document.is_job else "info/name"):
        yield "", "has no name"
    for name, count in Counter(node.name for node in document.nodes).items():
        if count > 1 or not name:
            yield name, f"is the name of {count} steps"


def _tags(document: Document, node: Node) -> Said:
    known: Mapping[str, frozenset[str]] = ENTRIES if document.is_job else STEPS
    if node.kind not in known:
        yield node.name, f"is of the type {node.kind!r}, which is not known"
        return
    found = {child.tag for child in node.element}
    wanted = known[node.kind] | (ENTRY_TAGS if document.is_job else STEP_TAGS)
    for tag in sorted(wanted - found):
        yield node.name, f"lacks <{tag}>"
    for tag in sorted(found - wanted):
        yield node.name, f"has <{tag}>, which {node.kind} does not read"
    for each in node.element.iter():
        if SWITCHES.fullmatch(each.tag) and (each.text or "") not in {"Y", "N"}:
            yield node.name, f"has {each.text!r} in <{each.tag}>, where PDI takes Y and N"


def _hops(document: Document) -> Said:
    names = {node.name for node in document.nodes}
    ways = Counter((hop.source, hop.target) for hop in document.hops)
    for hop in document.hops:
        for name in {hop.source, hop.target} - names:
            yield name, f"is an end of the hop from {hop.source!r} to {hop.target!r}, and is not there"
        if not hop.is_enabled:
            yield hop.source, f"has a disabled hop to {hop.target!r}: nothing goes that way"
    for (source, target), count in ways.items():
        if count > 1 and not document.is_job:
            yield source, f"has {count} hops to {target!r}"
    linked = {end for hop in document.hops for end in (hop.source, hop.target)}
    for name in sorted(names - linked):
        yield name, "is on no hop"


def _connections(document: Document) -> Said:
    names = [text_of(element, "name") for element in document.connections]
    for name, count in Counter(names).items():
        if count > 1:
            yield "", f"has {count} connections called {name!r}"
    for element in document.connections:
        codes = {(code.text or "") for code in element.findall("attributes/attribute/code")}
        yield from _connection(text_of(element, "type"), text_of(element, "name"), codes)
    for node in document.nodes:
        wanted = node.text("connection")
        if wanted not in {"", *names}:
            yield node.name, f"uses the connection {wanted!r}, which is not there"
        if not wanted and node.kind in {"TableInput", "InsertUpdate", "Delete", "SQL"}:
            yield node.name, "has no connection"


def _connection(kind: str, name: str, codes: set[str]) -> Said:
    if kind not in DATABASES:
        yield "", f"has a connection {name!r} of the type {kind!r}, which is not known"
    wanted = {"CUSTOM_URL", "CUSTOM_DRIVER_CLASS"} if kind == "GENERIC" else set()
    for code in sorted(wanted - codes):
        yield "", f"has a generic connection {name!r} without {code}"
