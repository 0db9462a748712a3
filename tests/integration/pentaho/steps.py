"""The step types that the route uses, with what their sources do to rows."""

import re
from itertools import count
from operator import eq, ge, le, lt, ne
from typing import Any
from xml.etree.ElementTree import Element

from integration.pentaho.documents import text_of
from tests.integration.pentaho.databases import as_rows, connected
from tests.integration.pentaho.transformation import Step
from tests.integration.pentaho.values import KettleError, Row, converted


class GetVariable(Step):
    """Adds variables to each row; without an input it makes one row."""

    has_rows = False

    def take(self, row: Row) -> None:
        self.has_rows = True
        found = {
            text_of(each, "name"): converted(self.run.text(text_of(each, "variable")), text_of(each, "type"))
            for each in self.node.all("fields/field")
        }
        self.put({**row, **found})

    def finish(self) -> None:
        if self.open_inputs < 0:
            self.take({})


class TableInput(Step):
    """Reads a query, with the fields of its info step as parameters."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.parameters: list[Any] = []

    def take(self, row: Row) -> None:
        self.parameters += row.values()

    def finish(self) -> None:
        sql = self.node.text("sql")
        if self.node.text("variables_active") == "Y":
            sql = self.run.text(sql)
        with connected(self.run.connection(self.node.text("connection")), self.run.variables) as connection:
            names, rows = connection.query(sql, self.parameters)
            for row in as_rows(names, rows):
                self.put(row)


class BlockingStep(Step):
    """Keeps rows until no more come, then passes all or the last."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.rows: list[Row] = []

    def take(self, row: Row) -> None:
        self.rows.append(row)

    def finish(self) -> None:
        passed = self.rows if self.node.text("pass_all_rows") == "Y" else self.rows[-1:]
        for row in passed:
            self.put(row)


class Sequence(Step):
    """Numbers rows, by a counter that steps share where it has the same name."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        name = self.text("counter_name") or self.node.text("valuename")
        start = int(self.text("start_at"))
        self.counter = self.run.counters.setdefault(name, (start, count(start, int(self.text("increment_by")))))
        if self.counter[0] != start:
            raise KettleError(f"{self.node.name}: the counter {name!r} starts at {self.counter[0]}")

    def take(self, row: Row) -> None:
        self.put({**row, self.node.text("valuename"): next(self.counter[1])})


class FieldsChangeSequence(Step):
    """Numbers rows, and begins again when one of the fields changes."""

    before: tuple[Any, ...] | None = None
    number = 0

    def take(self, row: Row) -> None:
        watched = tuple(self.value(row, name) for name in self.node.texts("fields/field/name"))
        if watched != self.before:
            self.before, self.number = watched, int(self.text("start"))
        self.put({**row, self.node.text("resultfieldName"): self.number})
        self.number += int(self.text("increment"))


class SelectValues(Step):
    """Keeps fields, in the order given."""

    def take(self, row: Row) -> None:
        kept = {text_of(each, "name"): text_of(each, "rename") for each in self.node.all("fields/field")}
        self.put({rename or name: self.value(row, name) for name, rename in kept.items()})


class ReplaceString(Step):
    """Replaces what a regular expression finds in a field."""

    def take(self, row: Row) -> None:
        for field in self.node.all("fields/field"):
            name = text_of(field, "in_stream_name")
            by = re.sub(r"\$(\d)", r"\\\1", self.run.text(text_of(field, "replace_by_string")))
            changed = re.sub(self.run.text(text_of(field, "replace_string")), by, self.value(row, name))
            row = {**row, text_of(field, "out_stream_name") or name: changed}
        self.put(row)


class FilterRows(Step):
    """Sends rows one way or the other; where no step is named, they are gone."""

    def take(self, row: Row) -> None:
        condition = self.node.element.find("compare/condition")
        assert condition is not None
        tag = "send_true_to" if self._holds(condition, row) else "send_false_to"
        name = self.node.text(tag)
        if not name:
            return
        target = self.run.steps.get(name)
        if target not in self.targets:
            raise KettleError(f"{self.node.name}: no hop leads to {name!r}")
        target.accept(row)

    def _holds(self, condition: Element, row: Row) -> bool:
        nested = condition.findall("conditions/condition")
        holds = self._all_hold(nested, row) if nested else self._compares(condition, row)
        return holds != (text_of(condition, "negated") == "Y")

    def _all_hold(self, conditions: list[Element], row: Row) -> bool:
        holds = self._holds(conditions[0], row)
        for each in conditions[1:]:
            this = self._holds(each, row)
            holds = (holds or this) if text_of(each, "operator") == "OR" else (holds and this)
        return holds

    def _compares(self, condition: Element, row: Row) -> bool:
        left = self.value(row, text_of(condition, "leftvalue"))
        function = text_of(condition, "function")
        if function == "IS NOT NULL":
            return left is not None
        right = self._right(condition, row)
        if left is None or right is None:
            return function == "=" and left is right
        return bool({"=": eq, ">=": ge, "<=": le, "<": lt, "<>": ne}[function](left, right))

    def _right(self, condition: Element, row: Row) -> Any:
        if text_of(condition, "rightvalue"):
            return self.value(row, text_of(condition, "rightvalue"))
        return converted(text_of(condition, "value/text"), text_of(condition, "value/type"))


class GroupBy(Step):
    """One row for each run of rows with the same group; only neighbours make a group."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.rows: list[Row] = []

    def take(self, row: Row) -> None:
        if self.rows and self._group(row) != self._group(self.rows[0]):
            self._give()
        self.rows.append(row)

    def finish(self) -> None:
        if self.rows:
            self._give()

    def _group(self, row: Row) -> Row:
        return {name: self.value(row, name) for name in self.node.texts("group/field/name")}

    def _give(self) -> None:
        given = self._group(self.rows[0])
        for each in self.node.all("fields/field"):
            values = [self.value(row, text_of(each, "subject")) for row in self.rows]
            present = [value for value in values if value is not None]
            kind = text_of(each, "type")
            given[text_of(each, "aggregate")] = {
                "COUNT_ALL": len(present),
                "COUNT_ANY": len(values),
                "FIRST": present[0] if present else None,
            }[kind]
        self.rows = []
        self.put(given)


class SetVariable(Step):
    """Sets variables here and in the job by its only row; by the defaults that are given where there is none."""

    has_row = False

    def take(self, row: Row) -> None:
        if self.has_row:
            raise KettleError(f"{self.node.name}: only 1 row was expected")
        self.has_row = True
        for each in self.node.all("fields/field"):
            value = self.value(row, text_of(each, "field_name"))
            self._set(each, "" if value is None else str(value))
        self.put(row)

    def finish(self) -> None:
        if self.has_row:
            return
        for each in self.node.all("fields/field"):
            if text_of(each, "default_value"):
                self._set(each, self.run.text(text_of(each, "default_value")))

    def _set(self, field: Element, value: str) -> None:
        name = text_of(field, "variable_name")
        self.run.variables[name] = value
        if text_of(field, "variable_type") == "PARENT_JOB":
            self.run.job_variables[name] = value


class WriteToLog(Step):
    """Writes fields to the log."""

    def take(self, row: Row) -> None:
        shown = ", ".join(f"{name} = {self.value(row, name)}" for name in self.node.texts("fields/field/name"))
        self.run.tell(f"{self.node.name}: {self.text('logmessage')}: {shown}")
        self.put(row)


class Abort(Step):
    """Stops everything at a row beyond the threshold, and writes the whole row to the log."""

    seen = 0

    def take(self, row: Row) -> None:
        self.seen += 1
        if self.seen > int(self.text("row_threshold")):
            self.run.tell(f"{self.node.name}: {self.text('message')}: {row}")
            if self.node.text("abort_option") == "ABORT_WITH_ERROR":
                self.run.stop()
            else:
                self.run.is_stopped = True


class InsertUpdate(Step):
    """Looks for a row by its keys, inserts it or updates it; committed row by row where `commit` is 1."""

    def take(self, row: Row) -> None:
        table = self.text("lookup/table")
        keys = {text_of(each, "field"): self.value(row, text_of(each, "name")) for each in self.node.all("lookup/key")}
        values = {
            text_of(each, "name"): self.value(row, text_of(each, "rename")) for each in self.node.all("lookup/value")
        }
        changing = [text_of(each, "name") for each in self.node.all("lookup/value") if text_of(each, "update") == "Y"]
        where = " and ".join(f"{name} = ?" for name in keys)
        with connected(self.run.connection(self.node.text("connection")), self.run.variables) as connection:
            _, found = connection.query(f"select 1 from {table} where {where}", [*keys.values()])
            if found:
                setting = ", ".join(f"{name} = ?" for name in changing)
                connection.execute(
                    f"update {table} set {setting} where {where}", [*map(values.__getitem__, changing), *keys.values()]
                )
            else:
                places = ", ".join("?" * len(values))
                connection.execute(f"insert into {table} ({', '.join(values)}) values ({places})", [*values.values()])
            connection.commit()
        self.put(row)


class Delete(Step):
    """Deletes the rows for which all conditions hold."""

    def take(self, row: Row) -> None:
        keys = self.node.all("lookup/key")
        where = " and ".join(f"{text_of(each, 'field')} {text_of(each, 'condition')} ?" for each in keys)
        values = [self.value(row, text_of(each, "name")) for each in keys]
        with connected(self.run.connection(self.node.text("connection")), self.run.variables) as connection:
            connection.execute(f"delete from {self.text('lookup/table')} where {where}", values)
            connection.commit()
        self.put(row)


class Dummy(Step):
    """Passes rows on."""
