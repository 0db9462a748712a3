"""Each artifact by itself: its place, its namespace, what it must have, and no secret in it."""

import re
from collections import Counter
from collections.abc import Iterator

from integration.wso2.project import KINDS, PLAIN, SYNAPSE, Artifact, Finding, Project

FROM_ENVIRONMENT = re.compile(r"\$SYSTEM:[A-Z][A-Z0-9_]*|\{?wso2:vault-lookup\('[^']+'\)\}?")
SECRET = re.compile(r"(?i)passw|secret|token|api.?key|credential|jaas")
LOGIN_IN_URL = re.compile(r"\w+://[^/\s:@]+:[^/\s@]+@")
BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
FREEMARKER = re.compile(r'"\$\{([^}]*)\}"')
KAFKA_PARAMETERS = (
    "bootstrap.servers",
    "topic.name",
    "group.id",
    "contentType",
    "key.deserializer",
    "value.deserializer",
    "poll.timeout",
    "interval",
)


def places(project: Project) -> Iterator[Finding]:
    """Folder, root, name of the file and of the artifact fit; no name is given twice."""
    for artifact in project.artifacts:
        if not artifact.kind:
            yield artifact.finding(f"is in no folder of artifacts; there are {', '.join(KINDS)}")
            continue
        wanted = artifact.kind if artifact.kind in PLAIN else SYNAPSE + artifact.kind
        if artifact.root.tag != wanted:
            yield artifact.finding(f"begins with <{artifact.root.tag}>, expected <{wanted}>")
        if artifact.path.rsplit("/", 1)[-1].rsplit(".", 1)[0] != artifact.name:
            yield artifact.finding(f"is called {artifact.name!r} within, another name than the file's")
    for (kind, name), count in Counter((each.kind, each.name) for each in project.artifacts).items():
        if count > 1:
            yield Finding(name, f"is the name of {count} artifacts of the kind {kind}")


def secrets(project: Project) -> Iterator[Finding]:
    """What is secret comes from the environment or the vault."""
    for artifact in project.artifacts:
        for element in artifact.root.iter():
            name = element.get("name") or element.tag.rsplit("}", 1)[-1]
            value = (element.get("value") or element.text or "").strip()
            if SECRET.search(name) and value and not FROM_ENVIRONMENT.fullmatch(value):
                yield artifact.finding(f"{name} is written out: take it from $SYSTEM:NAME or the vault")
            for text in (*element.attrib.values(), value):
                if LOGIN_IN_URL.search(text) or BEARER.search(text):
                    yield artifact.finding(f"<{name}> holds a login")


def endpoints(project: Project) -> Iterator[Finding]:
    """Each endpoint gives up, is suspended, tries nothing twice by itself, and lies where the environment says."""
    for artifact in project.of("endpoint"):
        for path in ("timeout/duration", *(f"suspendOnFailure/{each}" for each in _SUSPENSION)):
            yield from _number(artifact, path)
        if _text(artifact, "timeout/responseAction") != "fault":
            yield artifact.finding("a time-out has no responseAction fault: nobody would hear of it")
        if not _text(artifact, "retryConfig/disabledErrorCodes"):
            yield artifact.finding("retryConfig disables no error codes: a POST would be sent twice by the endpoint")
        if _text(artifact, "markForSuspension/retriesBeforeSuspension") != "0":
            yield artifact.finding("retriesBeforeSuspension is not 0: a POST would be sent again")
        for tag in ("http", "address"):
            for element in artifact.all(tag):
                url = element.get("uri-template") or element.get("uri") or ""
                if not FROM_ENVIRONMENT.fullmatch(url):
                    yield artifact.finding(f"its URL {url!r} is not taken from the environment")


_SUSPENSION = ("initialDuration", "progressionFactor", "maximumDuration")


def _text(artifact: Artifact, path: str) -> str:
    steps = "/".join(SYNAPSE + step for step in path.split("/"))
    return (artifact.root.findtext(f".//{steps}") or "").strip()


def _number(artifact: Artifact, path: str) -> Iterator[Finding]:
    text = _text(artifact, path)
    if not re.fullmatch(r"\d+(\.\d+)?", text) or float(text) <= 0:
        yield artifact.finding(f"{path} is {text!r}, expected a number above 0")


def tasks(project: Project) -> Iterator[Finding]:
    """A task has a trigger, and injects a message into a sequence."""
    for artifact in project.of("task"):
        trigger = artifact.root.find(f"{SYNAPSE}trigger")
        if trigger is None or not (trigger.get("cron") or re.fullmatch(r"[1-9]\d*", trigger.get("interval", ""))):
            yield artifact.finding("has no trigger with an interval in seconds or a cron expression")
        if artifact.root.get("class") != "org.apache.synapse.startup.tasks.MessageInjector":
            yield artifact.finding("its class is not MessageInjector")
        names = {each.get("name") for each in artifact.all("property")}
        for name in sorted({"injectTo", "sequenceName", "message"} - names):
            yield artifact.finding(f"has no property {name}: without it nothing is injected")


def conditions(project: Project) -> Iterator[Finding]:
    """Each filter and switch can decide."""
    for artifact in project.artifacts:
        for element in artifact.all("filter"):
            if not element.get("xpath") and not (element.get("source") and element.get("regex")):
                yield artifact.finding("a filter has neither xpath nor source and regex")
        for element in artifact.all("switch"):
            if not element.get("source") or element.find(f"{SYNAPSE}default") is None:
                yield artifact.finding("a switch has no source or no default")
        for element in artifact.root.iter():
            yield from _expression(artifact, element.get("regex"))


def _expression(artifact: Artifact, regex: str | None) -> Iterator[Finding]:
    try:
        re.compile(regex or "")
    except re.error as error:
        yield artifact.finding(f"the regex {regex!r} is none: {error}")


def payloads(project: Project) -> Iterator[Finding]:
    """JSON is never built of a text that is not escaped."""
    for artifact in project.artifacts:
        for factory in artifact.all("payloadFactory"):
            form = factory.findtext(f"{SYNAPSE}format") or ""
            if factory.get("media-type") not in ("json", "xml"):
                yield artifact.finding("a payloadFactory does not say its media-type")
            if re.search(r"\$\d", form):
                yield artifact.finding("a payloadFactory puts $1 into JSON, which is not escaped")
            for inserted in FREEMARKER.findall(form):
                if not inserted.endswith("?json_string"):
                    yield artifact.finding(f"a payloadFactory puts {inserted} into JSON without ?json_string")


def kafka(project: Project) -> Iterator[Finding]:
    """The inbound endpoint has what it needs, and commits nothing by itself."""
    for artifact in project.of("inboundEndpoint"):
        given = artifact.parameters()
        for name in KAFKA_PARAMETERS:
            if not given.get(name):
                yield artifact.finding(f"has no parameter {name}")
        wanted = {"enable.auto.commit": "false", "sequential": "true", "failure.retry.count": "-1"}
        for name, value in wanted.items():
            if given.get(name) != value:
                yield artifact.finding(f"{name} is {given.get(name)!r}, expected {value!r}: messages would be lost")


RULES = (places, secrets, endpoints, tasks, conditions, payloads, kafka)
