"""A Micro Integrator project as its artifacts: one file each, and what they name of one another."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, fromstring

SYNAPSE = "{http://ws.apache.org/ns/synapse}"
ARTIFACTS = Path("src", "main", "wso2mi", "artifacts")
JAVA = Path("src", "main", "java")
KINDS = {
    "apis": "api",
    "sequences": "sequence",
    "endpoints": "endpoint",
    "proxy-services": "proxy",
    "inbound-endpoints": "inboundEndpoint",
    "tasks": "task",
    "message-stores": "messageStore",
    "message-processors": "messageProcessor",
    "data-services": "data",
    "data-sources": "datasource",
}
"""What an artifact is, by its folder: the tag of its root."""
PLAIN = frozenset({"data", "datasource"})
"""Kinds without Synapse's namespace."""


@dataclass(frozen=True)
class Finding:
    """What is wrong with a file, in a sentence."""

    path: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}: {self.sentence}"


@dataclass(frozen=True)
class Artifact:
    """One artifact; `path` is within the project's artifacts."""

    path: str
    kind: str
    root: Element

    @property
    def name(self) -> str:
        """What others call it."""
        return self.root.get("name") or (self.root.findtext("name") or "").strip()

    def finding(self, sentence: str) -> Finding:
        """Something wrong with it."""
        return Finding(self.path, sentence)

    def all(self, tag: str) -> Iterator[Element]:
        """Synapse's elements of a tag in it, wherever."""
        return self.root.iter(SYNAPSE + tag)

    def parameters(self) -> dict[str, str]:
        """Its `<parameter>`s by name."""
        return {each.get("name", ""): (each.text or "").strip() for each in self.all("parameter")}


@dataclass(frozen=True)
class Project:
    """All that could be read, and what could not."""

    artifacts: tuple[Artifact, ...]
    unreadable: tuple[Finding, ...]
    classes: frozenset[str]

    def of(self, kind: str) -> list[Artifact]:
        """Artifacts of a kind."""
        return [each for each in self.artifacts if each.kind == kind]

    def names(self, kind: str) -> set[str]:
        """Their names."""
        return {each.name for each in self.of(kind)}

    @cached_property
    def sequences(self) -> dict[str, Artifact]:
        """Sequences by name."""
        return {each.name: each for each in self.of("sequence")}

    def reached(self, *names: str | None) -> list[Artifact]:
        """The sequences of these names and those that they go on to, by any way but an error's; the first one first."""
        found: dict[str, Artifact] = {}
        waiting = [name for name in names if name]
        while waiting:
            name = waiting.pop(0)
            if name in self.sequences and name not in found:
                found[name] = self.sequences[name]
                waiting.extend(each for each, way in named_sequences(found[name]) if way != "onError")
        return list(found.values())


def read_project(folder: Path) -> Project:
    """The project in a folder. Raises FileNotFoundError where there are no artifacts."""
    root = folder / ARTIFACTS
    if not root.is_dir():
        raise FileNotFoundError(f"{folder} has no {ARTIFACTS}")
    read = [_read(path, path.relative_to(root)) for path in sorted(root.rglob("*")) if path.is_file()]
    artifacts = tuple(each for each in read if isinstance(each, Artifact))
    unreadable = tuple(each for each in read if isinstance(each, Finding))
    java = folder / JAVA
    classes = frozenset(".".join(path.relative_to(java).with_suffix("").parts) for path in java.rglob("*.java"))
    return Project(artifacts, unreadable, classes)


def _read(path: Path, within: Path) -> Artifact | Finding:
    text = path.read_text(encoding="utf-8")
    if "<!DOCTYPE" in text:
        return Finding(str(within), "has a DOCTYPE, which an artifact needs not and an attacker likes")
    try:
        root = fromstring(text)  # noqa: S314  (without a DOCTYPE there are no entities)
    except ParseError as error:
        return Finding(str(within), f"is not XML: {error}")
    return Artifact(str(within), KINDS.get(within.parts[0], ""), root)


def named_sequences(artifact: Artifact) -> Iterator[tuple[str, str]]:
    """Names of sequences in an artifact, each with the attribute or element that names it."""
    for element in artifact.root.iter():
        tag = element.tag.removeprefix(SYNAPSE)
        ways = ["onError", "inSequence", "outSequence", "faultSequence", "receive"]
        ways += {"sequence": ["key"], "target": ["sequence"], "inboundEndpoint": ["sequence"]}.get(tag, [])
        yield from ((element.attrib[way], way) for way in ways if way in element.attrib)
        if (tag, element.get("name")) == ("property", "sequenceName") and artifact.kind == "task":
            yield element.get("value", ""), "sequenceName"
        if tag == "parameter" and element.get("name", "").endswith(".sequence"):
            yield (element.text or "").strip(), element.get("name", "")
