"""Transformations and jobs as their XML says, tag by tag."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, fromstring

VARIABLE = re.compile(r"\$\{([^}]+)\}")


class Unreadable(Exception):
    """A file that is no transformation and no job."""


@dataclass(frozen=True)
class Node:
    """A step or an entry; `kind` is what PDI calls its type."""

    name: str
    kind: str
    element: Element

    def text(self, path: str) -> str:
        """What a tag says, or ''."""
        return text_of(self.element, path)

    def texts(self, path: str) -> list[str]:
        """What all tags of a path say."""
        return [(each.text or "").strip() for each in self.element.findall(path)]

    def all(self, path: str) -> list[Element]:
        """All tags of a path."""
        return self.element.findall(path)


@dataclass(frozen=True)
class Hop:
    """An arrow; only those of jobs have a condition: `always`, `yes` or `no`."""

    source: str
    target: str
    is_enabled: bool
    condition: str = ""


@dataclass(frozen=True)
class ErrorPath:
    """Where rows go at which a step fails, with the fields that it adds."""

    source: str
    target: str
    is_enabled: bool
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Parameter:
    """A named parameter and its default."""

    name: str
    default: str


@dataclass(frozen=True)
class Document:
    """A transformation (`ktr`) or a job (`kjb`) with its steps or entries in their order."""

    path: Path
    element: Element
    nodes: tuple[Node, ...]
    hops: tuple[Hop, ...]
    error_paths: tuple[ErrorPath, ...]
    parameters: tuple[Parameter, ...]

    @property
    def is_job(self) -> bool:
        return self.element.tag == "job"

    @property
    def connections(self) -> tuple[Element, ...]:
        return tuple(self.element.findall("connection"))

    def node(self, name: str) -> Node:
        """A step or entry by its name. Raises KeyError."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)


def text_of(element: Element, path: str) -> str:
    """What a tag below an element says, or ''."""
    return (element.findtext(path) or "").strip()


def read(path: Path) -> Document:
    """Read a file. Raises Unreadable."""
    try:
        # Files of the operator's own; and expat bounds what entities grow to.
        root = fromstring(path.read_bytes())  # noqa: S314
    except (OSError, ParseError) as error:
        raise Unreadable(f"{path.name} cannot be read as XML: {error}") from error
    if root.tag == "transformation":
        return _transformation(path, root)
    if root.tag == "job":
        return _job(path, root)
    raise Unreadable(f"{path.name} is neither a transformation nor a job, but <{root.tag}>")


def variables_of(element: Element) -> Iterator[str]:
    """Each name that stands as ${NAME} below an element, as often as it stands there."""
    for each in element.iter():
        yield from VARIABLE.findall(each.text or "")


def _transformation(path: Path, root: Element) -> Document:
    hops = tuple(
        Hop(text_of(each, "from"), text_of(each, "to"), text_of(each, "enabled") == "Y")
        for each in root.findall("order/hop")
    )
    errors = tuple(_error_path(each) for each in root.findall("step_error_handling/error"))
    return Document(path, root, _nodes(root.findall("step")), hops, errors, _parameters(root, "info/parameters"))


def _job(path: Path, root: Element) -> Document:
    hops = tuple(
        Hop(text_of(each, "from"), text_of(each, "to"), text_of(each, "enabled") == "Y", _condition(each))
        for each in root.findall("hops/hop")
    )
    return Document(path, root, _nodes(root.findall("entries/entry")), hops, (), _parameters(root, "parameters"))


def _nodes(elements: list[Element]) -> tuple[Node, ...]:
    return tuple(Node(text_of(each, "name"), text_of(each, "type"), each) for each in elements)


def _parameters(root: Element, path: str) -> tuple[Parameter, ...]:
    found = root.findall(f"{path}/parameter")
    return tuple(Parameter(text_of(each, "name"), text_of(each, "default_value")) for each in found)


def _condition(hop: Element) -> str:
    if text_of(hop, "unconditional") == "Y":
        return "always"
    return "yes" if text_of(hop, "evaluation") == "Y" else "no"


def _error_path(error: Element) -> ErrorPath:
    named = ("nr_valuename", "descriptions_valuename", "fields_valuename", "codes_valuename")
    fields = tuple(text_of(error, tag) for tag in named if text_of(error, tag))
    is_enabled = text_of(error, "is_enabled") == "Y"
    return ErrorPath(text_of(error, "source_step"), text_of(error, "target_step"), is_enabled, fields)
