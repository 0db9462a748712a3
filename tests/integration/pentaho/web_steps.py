"""The step types that make, send and read JSON."""

import json
from http.client import HTTPConnection, HTTPException, IncompleteRead
from typing import Any
from urllib.parse import urlsplit

from integration.pentaho.documents import text_of
from tests.integration.pentaho import steps
from tests.integration.pentaho.transformation import Step
from tests.integration.pentaho.values import KettleError, Row, at_path, converted, java_json

ANSWER_SECONDS = 60
"""PDI waits for ever; a test does not."""


class JsonOutput(Step):
    """Rows to JSON arrays; in the last one that is not full every other field of the row is null."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.rows: list[Row] = []
        self.inputs: list[str] = []

    def take(self, row: Row) -> None:
        self.inputs = list(row)
        fields = self.node.all("fields/field")
        self.rows.append({text_of(each, "element"): self.value(row, text_of(each, "name")) for each in fields})
        if len(self.rows) == self._full():
            self._give(row)

    def finish(self) -> None:
        if self.rows:
            self._give(dict.fromkeys(self.inputs))

    def _full(self) -> int:
        rows = self.text("nrRowsInBloc")
        return int(rows) if rows.isdigit() else 0

    def _give(self, row: Row) -> None:
        made = java_json({self.text("jsonBloc"): self.rows})
        self.rows = []
        self.put({**row, self.text("outputValue"): made})


class Rest(Step):
    """A call for each row. Whatever the status, the row goes on; only without an answer it takes the error hop."""

    def take(self, row: Row) -> None:
        self.run.admit_call()
        headers = {
            text_of(each, "name"): self.value(row, text_of(each, "field")) for each in self.node.all("headers/header")
        }
        body = self.value(row, self.text("bodyField")) or ""
        try:
            status, answer = self._call(body, headers)
        except (OSError, HTTPException) as error:
            return self._fail(row, error)
        return self.put({**row, self.text("result/name"): answer, self.text("result/code"): status})

    def _call(self, body: str, headers: dict[str, Any]) -> tuple[int, str]:
        url = urlsplit(self.text("url"))
        connection = HTTPConnection(url.hostname or "", url.port, timeout=ANSWER_SECONDS)
        kept = {name: value for name, value in headers.items() if value is not None}
        try:
            # Java writes a question mark for half a surrogate pair.
            sent = body.encode("utf-8", "replace")
            connection.request(self.text("method"), url.path, sent, {"Content-Type": "application/json", **kept})
            response = connection.getresponse()
            return response.status, _text_of(response)
        finally:
            connection.close()

    def _fail(self, row: Row, error: Exception) -> None:
        if self.error_target is None:
            raise KettleError(f"{self.node.name}: {error}") from error
        told = ("cannot be read", "Rest001")
        self.error_target.accept({**row, **dict(zip(self.error_fields, told, strict=True))})


def _text_of(response: Any) -> str:
    try:
        return str(response.read().decode())
    except IncompleteRead:  # Jersey gives no part of such a body
        return ""


class JsonInput(Step):
    """A row for each value at the paths, which must be as many each; one row of nulls where there are none."""

    def take(self, row: Row) -> None:
        fields = self.node.all("fields/field")
        columns = self._columns(self.value(row, self.node.text("valueField")))
        for number in range(max(1, *map(len, columns))):
            found = {
                text_of(field, "name"): _value_of(column[number], text_of(field, "type")) if column else None
                for field, column in zip(fields, columns, strict=True)
            }
            self.put({**row, **found})

    def _columns(self, text: str | None) -> list[list[Any]]:
        columns = [at_path(_parsed(text), path) for path in self.node.texts("fields/field/path")]
        sizes = {len(column) for column in columns if column}
        if len(sizes) > 1:
            raise KettleError(f"{self.node.name}: the paths find different numbers of values")
        if self.node.text("ignoreMissingPath") != "Y" and not all(map(any_value, columns)):
            raise KettleError(f"{self.node.name}: a path finds nothing")
        return columns


def _parsed(text: str | None) -> Any:
    """A document as json-smart reads it, to which what is no JSON is a text, in which no path finds anything."""
    try:
        return json.loads("{}" if text is None else text)
    except ValueError:
        return text


def _value_of(found: Any, kind: str) -> Any:
    if found is None or (kind == "Integer" and isinstance(found, int)):
        return found
    text = java_json(found) if isinstance(found, dict) else str(found)
    return converted(text, kind)


def any_value(column: list[Any]) -> bool:
    """Whether a path has found more than nulls."""
    return any(value is not None for value in column)


KINDS: dict[str, type[Step]] = {
    "Abort": steps.Abort,
    "BlockingStep": steps.BlockingStep,
    "Delete": steps.Delete,
    "Dummy": steps.Dummy,
    "FieldsChangeSequence": steps.FieldsChangeSequence,
    "FilterRows": steps.FilterRows,
    "GetVariable": steps.GetVariable,
    "GroupBy": steps.GroupBy,
    "InsertUpdate": steps.InsertUpdate,
    "JsonInput": JsonInput,
    "JsonOutput": JsonOutput,
    "ReplaceString": steps.ReplaceString,
    "Rest": Rest,
    "SelectValues": steps.SelectValues,
    "Sequence": steps.Sequence,
    "SetVariable": steps.SetVariable,
    "TableInput": steps.TableInput,
    "WriteToLog": steps.WriteToLog,
}
