"""Passwords and variables: nothing secret in a file, nothing used that nobody sets."""

import re
from collections.abc import Collection, Iterator
from xml.etree.ElementTree import Element

from integration.pentaho.documents import VARIABLE, Document, variables_of
from integration.pentaho.layouts import SECRET
from integration.pentaho.structure import Said

PASSWORDS = frozenset({"password", "httpPassword", "trustStorePassword", "proxyPassword"})
KETTLE_PROPERTIES = frozenset({"BASE_A_PASSWORD", "LAKEPORT_USERNAME", "LAKEPORT_PASSWORD"})
"""Variables that an operator keeps in kettle.properties, where only he reads them."""
CREDENTIALS_IN_URL = re.compile(r"//[^/@\s$]+:[^/@\s$]+@|[?&;]password=", re.IGNORECASE)
BEARER = re.compile(r"(bearer|basic)\s+(?!\$\{)\S", re.IGNORECASE)
OF_THE_ENGINE = ("Internal.", "java.")


def secrets(document: Document) -> Said:
    """Literal passwords and tokens, and secrets that a default would blank."""
    for where, element in _places(document):
        for each in element.iter():
            yield from ((where, sentence) for sentence in _literal(each))
    for parameter in document.parameters:
        if SECRET.search(parameter.name) and parameter.default:
            yield "", f"gives the parameter {parameter.name} a default: secrets are kept in kettle.properties"
        if parameter.name in KETTLE_PROPERTIES:
            yield "", f"declares {parameter.name}, whose empty default takes the place of what kettle.properties says"


def _places(document: Document) -> Iterator[tuple[str, Element]]:
    named = {node.element: node.name for node in document.nodes}
    inner = {id(each) for node in document.nodes for each in node.element.iter()}
    yield from ((name, element) for element, name in named.items())
    for element in document.element.iter():
        if id(element) not in inner and not len(element):
            yield "", element


def _literal(element: Element) -> Iterator[str]:
    text = (element.text or "").strip()
    if element.tag in PASSWORDS and text and not VARIABLE.fullmatch(text):
        yield f"has a password in <{element.tag}>: put it into kettle.properties, encrypted is not hidden"
    if CREDENTIALS_IN_URL.search(text):
        yield f"has credentials within the URL in <{element.tag}>"
    if BEARER.match(text):
        yield f"has a token in <{element.tag}>"


def variables(document: Document, set_elsewhere: Collection[str]) -> Said:
    """Variables that nobody sets, and parameters that nobody needs."""
    declared = {parameter.name for parameter in document.parameters}
    known = declared | KETTLE_PROPERTIES | set(set_elsewhere)
    used: set[str] = set()
    for where, element in _places(document):
        if element.tag == "description":
            continue
        for name in dict.fromkeys(_used(element)):
            used.add(name)
            if name not in known and not name.startswith(OF_THE_ENGINE):
                yield where, f"uses ${{{name}}}, which is no parameter and set nowhere"
    if not document.is_job:
        for name in sorted(declared - used):
            yield "", f"declares the parameter {name} and does not use it"


def _used(element: Element) -> Iterator[str]:
    yield from variables_of(element)
    # An evaluation may name its variable without the braces.
    for each in element.iter("variablename"):
        if each.text and "${" not in each.text:
            yield each.text
