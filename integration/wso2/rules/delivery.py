"""Nothing is lost or let in: faults are heard, statuses read, stores durable, callers known, promises kept."""

from collections.abc import Iterable, Iterator
from xml.etree.ElementTree import Element

from integration.wso2.project import SYNAPSE, Artifact, Finding, Project, named_sequences

STORE = "org.apache.synapse.message.store.impl.jdbc.JDBCMessageStore"
PROCESSOR = "org.apache.synapse.message.processor.impl.forwarder.ScheduledMessageForwardingProcessor"
MAY_FAIL = ("call", "dataServiceCall")
KNOW_CALLERS = frozenset({"lakeport.Caller", "lakeport.Seal"})


def faults(project: Project) -> Iterator[Finding]:
    """Whatever may fail has somebody who hears of it."""
    for artifact, entrance in _entrances(project):
        if not entrance.get("faultSequence"):
            yield artifact.finding("has an entrance without faultSequence")
    for artifact in project.of("inboundEndpoint"):
        if not artifact.root.get("onError"):
            yield artifact.finding("has no onError")
    heard = {each.name for start, handler in _ways(project) for each in project.reached(start, handler)}
    for artifact in project.of("sequence"):
        if _has(artifact, *MAY_FAIL) and artifact.name not in heard:
            yield artifact.finding("may fail, and nobody hears of it: no onError, no faultSequence")


def handlers(project: Project) -> Iterator[Finding]:
    """One on each way: after a time-out all of them would be called, and a client answered twice."""
    for start, handler in _ways(project):
        for artifact in project.reached(start):
            if artifact.root.get("onError") not in (None, handler) or (
                artifact.root.get("onError") and artifact.name != start
            ):
                yield artifact.finding(f"has an onError on a way whose faults {handler} hears of already")
        if start in {each.name for each in project.reached(handler)}:
            yield Finding(start, f"is gone through by {handler}, which hears of its faults")


def _ways(project: Project) -> Iterator[tuple[str, str]]:
    """Where messages come in, each with who hears of its faults."""
    for _, entrance in _entrances(project):
        if entrance.get("faultSequence"):
            yield entrance.get("inSequence", ""), entrance.get("faultSequence", "")
    for artifact in project.of("inboundEndpoint"):
        if artifact.root.get("onError"):
            yield artifact.root.get("sequence", ""), artifact.root.get("onError", "")
    for task in project.of("task"):
        for name, _ in named_sequences(task):
            handler = project.sequences[name].root.get("onError") if name in project.sequences else None
            if handler:
                yield name, handler


def statuses(project: Project) -> Iterator[Finding]:
    """Who calls an endpoint reads the status: 4xx and 5xx are no faults."""
    for artifact in project.of("sequence"):
        reads = any("HTTP_SC" in each.get("expression", "") for each in artifact.all("property"))
        if _has(artifact, "call") and not reads:
            yield artifact.finding("calls an endpoint and never reads HTTP_SC: a refusal would pass for success")
        if _has(artifact, "send"):
            yield artifact.finding("sends and forgets: use call, and read the status")


def confirmation(project: Project) -> Iterator[Finding]:
    """Nobody is told that it is done before the core has said so, and base A only by an answer of 200."""
    for artifact in project.artifacts:
        if any(each.get("name") == "FORCE_SC_ACCEPTED" for each in artifact.all("property")):
            yield artifact.finding("answers 202 before the core has answered: the store would be the only copy")
        for case in artifact.all("case"):
            confirms = {each.name for each in project.reached(*_keys(case)) if _calls(each, "confirmBatch")}
            if confirms and case.get("regex") != "200":
                yield artifact.finding(f"confirms a batch at the status {case.get('regex')!r}, expected 200 alone")
        for default in artifact.all("default"):
            if any(_calls(each, "confirmBatch") for each in project.reached(*_keys(default))):
                yield artifact.finding("confirms a batch whatever the status")
    for artifact in project.of("inboundEndpoint"):
        reached = project.reached(artifact.root.get("onError"))
        if not any(each.get("name") == "SET_ROLLBACK_ONLY" for one in reached for each in one.all("property")):
            yield artifact.finding("its onError never sets SET_ROLLBACK_ONLY: the offset would be committed")


def stores(project: Project) -> Iterator[Finding]:
    """What is stored survives a crash, and something takes it out again."""
    emptied = {each.root.get("messageStore") for each in project.of("messageProcessor")}
    for artifact in project.of("messageStore"):
        if artifact.root.get("class") != STORE:
            yield artifact.finding("is not a JDBC message store: what it holds is lost with the process")
        elif not artifact.parameters().get("store.jdbc.dsName"):
            yield artifact.finding("has no parameter store.jdbc.dsName")
        if artifact.name not in emptied:
            yield artifact.finding("has no message processor: nothing would come out of it")


def processors(project: Project) -> Iterator[Finding]:
    """A forwarder never gives up or drops what it cannot deliver."""
    for artifact in project.of("messageProcessor"):
        given = artifact.parameters()
        if artifact.root.get("class") != PROCESSOR or not artifact.root.get("targetEndpoint"):
            yield artifact.finding("is no ScheduledMessageForwardingProcessor with a targetEndpoint")
        for name, value in {"max.delivery.attempts": "-1", "max.delivery.drop": "Disabled"}.items():
            if given.get(name) != value:
                yield artifact.finding(f"{name} is {given.get(name)!r}, expected {value!r}: it would give up")
        if not given.get("interval", "").isdigit():
            yield artifact.finding("has no interval in ms")


def stored(project: Project) -> Iterator[Finding]:
    """What clients sent is stored when it fails."""
    for artifact, entrance in _entrances(project):
        faulty = project.reached(entrance.get("faultSequence"))
        comes_of_clients = "lakeport.Caller" in _classes(project.reached(entrance.get("inSequence")))
        if comes_of_clients and not any(_has(each, "store") for each in faulty):
            yield artifact.finding(f"the faults of {entrance.get('inSequence')} are not stored")


def callers(project: Project) -> Iterator[Finding]:
    """Nobody uses the route's login without a key, and base A's data service hears no network."""
    for artifact, entrance in _entrances(project):
        if not _classes(project.reached(entrance.get("inSequence"))) & KNOW_CALLERS:
            yield artifact.finding(f"{entrance.get('inSequence')} lets everybody in")
    for artifact in project.of("data"):
        if artifact.root.get("transports") != "local":
            yield artifact.finding("is open to the network: transports must be local")


def _entrances(project: Project) -> Iterator[tuple[Artifact, Element]]:
    for kind, tag in (("api", "resource"), ("proxy", "target")):
        for artifact in project.of(kind):
            yield from ((artifact, each) for each in artifact.all(tag))


def _classes(sequences: Iterable[Artifact]) -> set[str]:
    return {each.get("name", "") for artifact in sequences for each in artifact.all("class")}


def _has(artifact: Artifact, *tags: str) -> bool:
    return any(next(artifact.all(tag), None) is not None for tag in tags)


def _calls(artifact: Artifact, operation: str) -> bool:
    return any(each.get("name") == operation for each in artifact.all("operation"))


def _keys(element: Element) -> list[str]:
    return [each.get("key", "") for each in element.iter(f"{SYNAPSE}sequence")]


RULES = (faults, handlers, statuses, confirmation, stores, processors, stored, callers)
