"""What PDI does with variables, texts and JSON, as its sources say."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from integration.pentaho.documents import VARIABLE

Row = dict[str, Any]
Variables = dict[str, str]
_ESCAPED = re.compile("[\x7f-\x9f\u2000-\u20ff]")
_STEP_OF_PATH = re.compile(r"\.\*|\[\*\]|\.\w+")


class KettleError(Exception):
    """What fails a step, an entry, or the reading of a file."""


def substituted(text: str, variables: Mapping[str, str]) -> str:
    """The text with ${NAME} replaced; unknown names stay as they are, values may name others."""
    for _ in range(50):
        replaced = VARIABLE.sub(lambda match: variables.get(match[1], match[0]), text)
        if replaced == text:
            return replaced
        text = replaced
    raise KettleError(f"endless substitution in {text}")


def converted(text: str, kind: str) -> Any:
    """A text as a value of a type; an empty text is null, as long as nobody tells PDI that they differ."""
    if text == "":
        return None
    if kind == "Integer":
        return int(text)
    return text


def java_json(value: Any) -> str:
    """JSON as json-simple writes it: compact, with the slash and the odd spaces escaped."""
    written = json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/")
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04X}", written)


def at_path(document: Any, path: str) -> list[Any]:
    """The values at a JSONPath of the kinds $.a, .* and [*]; always a list, empty where there is nothing."""
    if not path.startswith("$") or _STEP_OF_PATH.sub("", path[1:]):
        raise KettleError(f"a path that the runner does not know: {path}")
    found = [document]
    for step in _STEP_OF_PATH.findall(path):
        found = [inner for outer in found for inner in _below(outer, step)]
    return found


def _below(value: Any, step: str) -> Iterator[Any]:
    if step in {".*", "[*]"}:
        members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        yield from members
    elif isinstance(value, dict) and step[1:] in value:
        yield value[step[1:]]


def properties(path: Path) -> Variables:
    """A Java properties file, as far as `name=value` lines, comments, continued lines and escaped signs go."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise KettleError(f"no properties file {path.name}") from error
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    pairs = (line.split("=", 1) for line in lines if line.strip() and not line.startswith("#"))
    return {name.strip(): re.sub(r"\\(.)", r"\1", value.strip()) for name, value in pairs}
