"""What artifacts name of one another is there, and is used."""

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from integration.wso2.project import SYNAPSE, Artifact, Finding, Project, named_sequences

PLACEHOLDER = re.compile(r":([a-z_]+)")
ATTRIBUTES = {"targetEndpoint": "endpoint", "messageStore": "messageStore"}


def named(project: Project) -> Iterator[Finding]:
    """Sequences, endpoints, stores and classes."""
    for artifact in project.artifacts:
        for name, way in named_sequences(artifact):
            if name not in project.sequences:
                yield artifact.finding(f"{way} names the sequence {name!r}, which is not there")
        for kind, name in _others(artifact):
            if name not in project.names(kind):
                yield artifact.finding(f"names the {kind} {name!r}, which is not there")
        for element in artifact.all("class"):
            if element.get("name") not in project.classes:
                yield artifact.finding(f"names the class {element.get('name')!r}, of which there is no source")


def _others(artifact: Artifact) -> Iterator[tuple[str, str]]:
    for element in artifact.root.iter():
        yield from ((kind, element.attrib[each]) for each, kind in ATTRIBUTES.items() if each in element.attrib)
        if element.tag == f"{SYNAPSE}endpoint" and "key" in element.attrib:
            yield "endpoint", element.attrib["key"]
    name = artifact.parameters().get("store.jdbc.dsName")
    if name:
        yield "datasource", name
    for element in artifact.root.findall("config/property[@name='carbon_datasource_name']"):
        yield "datasource", (element.text or "").strip()


def used(project: Project) -> Iterator[Finding]:
    """No sequence, endpoint or store lies about that nobody names."""
    sequences = {name for artifact in project.artifacts for name, _ in named_sequences(artifact)}
    others = {each for artifact in project.artifacts for each in _others(artifact)}
    for artifact in project.of("sequence"):
        if artifact.name not in sequences:
            yield artifact.finding("is a sequence that nobody names")
    for kind in ("endpoint", "messageStore", "datasource"):
        for artifact in project.of(kind):
            if (kind, artifact.name) not in others:
                yield artifact.finding(f"is of the kind {kind}, and nobody names it")


def circles(project: Project) -> Iterator[Finding]:
    """No sequence leads back to itself."""
    for name, artifact in project.sequences.items():
        following = {each for each, way in named_sequences(artifact) if way != "onError"}
        if name in {each.name for each in project.reached(*following)}:
            yield artifact.finding("leads back to itself")


def data_services(project: Project) -> Iterator[Finding]:
    """Calls fit operations, operations queries, and queries their parameters and data source."""
    for service in project.of("data"):
        queries = {each.get("id", ""): each for each in service.root.findall("query")}
        configs = {each.get("id") for each in service.root.findall("config")}
        for query in queries.values():
            if query.get("useConfig") not in configs:
                yield service.finding(f"the query {query.get('id')} uses a config that is not there")
            yield from _placeholders(service, query)
        for operation in service.root.findall("operation"):
            yield from _call_query(service, operation, queries)
    for artifact in project.artifacts:
        for call in artifact.all("dataServiceCall"):
            yield from _call(project, artifact, call)


def _placeholders(service: Artifact, query: Element) -> Iterator[Finding]:
    taken = set(PLACEHOLDER.findall(query.findtext("sql") or ""))
    for name in sorted(taken ^ _names(query, "param")):
        yield service.finding(f"the query {query.get('id')} and its SQL do not agree about the parameter {name}")


def _call_query(service: Artifact, operation: Element, queries: dict[str, Element]) -> Iterator[Finding]:
    for call in operation.findall("call-query"):
        query = queries.get(call.get("href", ""))
        if query is None:
            yield service.finding(f"the operation {operation.get('name')} calls a query that is not there")
        elif _names(query, "param") != _names(call, "with-param"):
            yield service.finding(f"the operation {operation.get('name')} gives other parameters than its query takes")


def _call(project: Project, artifact: Artifact, call: Element) -> Iterator[Finding]:
    services = {each.name: each for each in project.of("data")}
    service = services.get(call.get("serviceName", ""))
    if service is None:
        yield artifact.finding(f"calls the data service {call.get('serviceName')!r}, which is not there")
        return
    for operation in call.iter(f"{SYNAPSE}operation"):
        name = operation.get("name")
        wanted = service.root.find(f"operation[@name='{name}']/call-query")
        if wanted is None:
            yield artifact.finding(f"calls the operation {name!r}, which is not there")
        elif _names(wanted, "with-param") != _names(operation, f"{SYNAPSE}param"):
            yield artifact.finding(f"gives the operation {name!r} other parameters than it takes")


def _names(element: Element, tag: str) -> set[str]:
    return {each.get("name", "") for each in element.findall(tag)}


RULES = (named, used, circles, data_services)
