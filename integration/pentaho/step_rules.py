"""What holds for a step of each type by itself, beyond its tags."""

import re
from collections.abc import Callable, Iterator

from integration.pentaho import plugins
from integration.pentaho.documents import VARIABLE, Node, text_of
from integration.pentaho.layouts import query_of


def _abort(node: Node) -> Iterator[str]:
    if node.text("abort_option") != "ABORT_WITH_ERROR":
        yield "stops without an error: pan ends with 0, and the watermark moves"
    if node.text("row_threshold") != "0":
        yield f"lets {node.text('row_threshold')} rows pass before it stops"


def _blocking(node: Node) -> Iterator[str]:
    if node.text("pass_all_rows") != "Y":
        yield "passes its last row only"


def _filter(node: Node) -> Iterator[str]:
    if node.text("send_true_to") == node.text("send_false_to"):
        yield "sends everything one way"
    for condition in node.element.iter("condition"):
        if condition.find("conditions") is None and text_of(condition, "function") not in plugins.COMPARISONS:
            yield f"compares by {text_of(condition, 'function')!r}, which PDI does not know"


def _get_variable(node: Node) -> Iterator[str]:
    for field in node.all("fields/field"):
        if not text_of(field, "variable"):
            yield f"gives {text_of(field, 'name')!r} no variable"
        yield from _type(text_of(field, "type"))


def _group(node: Node) -> Iterator[str]:
    if not any(node.texts("group/field/name")):
        yield "groups by nothing: one row for all batches"
    for kind in node.texts("fields/field/type"):
        if kind not in plugins.AGGREGATES:
            yield f"sums up by {kind!r}, which PDI does not know"
    if node.text("all_rows") == "Y":
        yield "gives all rows of a group"


def _json_input(node: Node) -> Iterator[str]:
    if (node.text("IsInFields"), node.text("IsAFile")) != ("Y", "N"):
        yield "reads a file, not the field of its rows"
    for field in node.all("fields/field"):
        if not text_of(field, "path").startswith("$"):
            yield f"has a path {text_of(field, 'path')!r} that does not begin with $"
        yield from _type(text_of(field, "type"))


def _json_output(node: Node) -> Iterator[str]:
    if node.text("operation_type") != "outputvalue":
        yield "writes a file"
    for tag in ("jsonBloc", "outputValue"):
        if not node.text(tag):
            yield f"has an empty <{tag}>"
    rows = node.text("nrRowsInBloc")
    if not VARIABLE.fullmatch(rows) and not re.fullmatch("[1-9][0-9]*", rows):
        yield f"makes batches of {rows!r} rows: without a number above 0 all rows are one request"
    if node.text("compatibility_mode") != "N":
        yield "makes an object of each field: the mode of old versions"
    if not any(node.texts("fields/field/name")):
        yield "writes no fields"


def _replace(node: Node) -> Iterator[str]:
    for field in node.all("fields/field"):
        for tag in ("use_regex", "whole_word", "case_sensitive", "is_unicode"):
            if text_of(field, tag) not in {"yes", "no", "Y", "N"}:
                yield f"has {text_of(field, tag)!r} in <{tag}>, which PDI takes for no"
        try:
            re.compile(text_of(field, "replace_string"))
        except re.error as error:
            yield f"has a regular expression that is none: {error}"


def _rest(node: Node) -> Iterator[str]:
    method = node.text("method")
    if method not in plugins.METHODS:
        yield f"calls by {method!r}, which is no method"
    if node.text("applicationType") not in plugins.APPLICATION_TYPES:
        yield f"sends {node.text('applicationType')!r}, which PDI takes for plain text"
    if node.text("bodyField") and method not in plugins.WITH_BODY:
        yield f"sends no body with {method}"
    if node.all("parameters/parameter") and method == "GET":
        yield "sends no parameters with GET"
    if not node.text("url"):
        yield "has no URL"


def _select(node: Node) -> Iterator[str]:
    if not any(node.texts("fields/field/name")):
        yield "keeps no field"
    if node.text("fields/select_unspecified") == "Y":
        yield "keeps what it does not name too"


def _sequence(node: Node) -> Iterator[str]:
    if node.text("use_counter") != "Y":
        yield "counts by nothing"


def _set_variable(node: Node) -> Iterator[str]:
    for field in node.all("fields/field"):
        kind = text_of(field, "variable_type")
        if kind not in {"JVM", "PARENT_JOB", "GP_JOB", "ROOT_JOB"}:
            yield f"sets a variable for {kind!r}, which PDI does not know"
        if kind == "JVM":
            yield f"sets {text_of(field, 'variable_name')} for the whole JVM"
        if not text_of(field, "variable_name"):
            yield f"has no variable for {text_of(field, 'field_name')!r}"


def _table(node: Node) -> Iterator[str]:
    if not node.text("lookup/table"):
        yield "has no table"
    if not node.all("lookup/key"):
        yield "has no keys: it would hit any row"
    for condition in node.texts("lookup/key/condition"):
        if condition not in {"=", "<>", "<", "<=", ">", ">=", "= ~NULL", "LIKE", "BETWEEN", "IS NULL", "IS NOT NULL"}:
            yield f"compares a key by {condition!r}, which PDI does not know"


def _table_input(node: Node) -> Iterator[str]:
    sql = node.text("sql")
    if query_of(sql) is None:
        yield "has SQL that is no query"
    if VARIABLE.search(sql) and node.text("variables_active") != "Y":
        yield "has variables in its SQL, which are not put in"
    for text in sql.split("'")[1::2]:
        if VARIABLE.search(text):
            yield f"pastes a variable into a text, '{text}': give it by a question mark"
    if node.text("limit") not in {"", "0"}:
        yield f"stops reading after {node.text('limit')} rows"


def _type(kind: str) -> Iterator[str]:
    if kind not in plugins.VALUE_TYPES:
        yield f"has a field of the type {kind!r}, which PDI does not know"


def _write_to_log(node: Node) -> Iterator[str]:
    if node.text("loglevel") not in plugins.LOG_LEVELS:
        yield f"logs at the level {node.text('loglevel')!r}, which PDI does not know"
    if not any(node.texts("fields/field/name")):
        yield "names no fields and so logs whole rows"


RULES: dict[str, Callable[[Node], Iterator[str]]] = {
    "Abort": _abort,
    "BlockingStep": _blocking,
    "Delete": _table,
    "FilterRows": _filter,
    "GetVariable": _get_variable,
    "GroupBy": _group,
    "InsertUpdate": _table,
    "JsonInput": _json_input,
    "JsonOutput": _json_output,
    "ReplaceString": _replace,
    "Rest": _rest,
    "SelectValues": _select,
    "Sequence": _sequence,
    "SetVariable": _set_variable,
    "TableInput": _table_input,
    "WriteToLog": _write_to_log,
}
