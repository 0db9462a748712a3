"""DuckDB reads the lake's Parquet files: what it is asked, and what is made of its rows."""

from bisect import bisect_left
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
from sqlglot import exp

from rest_api.backends.engine.diffs import diff_sql
from rest_api.backends.engine.figures import once, replayed, sent_again
from rest_api.backends.engine.masks import MaskKey
from rest_api.backends.engine.parquet import relation
from rest_api.backends.engine.reading import Reading, Rows, gone
from rest_api.backends.engine.rendering import POSITIONS, Renderer, Sql
from rest_api.backends.engine.values import converted
from rest_api.backends.footers import Footer, Footers
from rest_api.errors import Timeout
from rest_api.lake.columns import LakeColumn
from rest_api.lake.diffs import CHANGED, CHANGES, Change, Diff, DiffPage, differing
from rest_api.lake.figures import FigurePlan
from rest_api.lake.plans import Plan
from rest_api.lake.pruning import Numbered, relevant
from rest_api.lake.views import ViewColumn
from rest_api.lake.windows import bounds
from rest_api.query.conditions import MAX_ROWS_PER_PARENTS, ColumnType
from rest_api.query.sql import Page

QUICK_SECONDS = 0.15
"""How long one thread looks for the rows of a page before all do."""


class DuckDbEngine:
    """Reads pages with one thread, which is quickest where few rows are wanted, and all else with every thread."""

    def __init__(
        self, folders: Sequence[Path], mask_key: MaskKey, footers: Footers, seconds: float, *, memory_mib: int = 1_024
    ) -> None:
        """`folders` are all that may be read; what does not fit into memory is spilled into the last of them.

        `seconds` is how long one query may run, `memory_mib` what all of them together may take: a quarter for pages.
        """
        self._mask_key = mask_key
        self._footers = footers
        quick, quarter = min(QUICK_SECONDS, seconds), memory_mib // 4
        # Who wants few rows has them sooner by reading them himself than from threads that read ahead.
        self._pages = Reading(folders, quick, threads=1, async_threads=0, memory_limit=f"{quarter}MiB")
        self._scans = Reading(folders, seconds, memory_limit=f"{memory_mib - quarter}MiB")

    def page(self, plan: Plan) -> Page:
        found = self._page(plan)
        if plan.query.count == "none":
            return found
        return replace(found, count=self.count(plan), count_kind="exact")

    def count(self, plan: Plan) -> int:
        if plan.view.admission is None and plan.query.where is None and plan.snapshot.rows is not None:
            return plan.snapshot.rows
        files = self._files(plan)
        renderer = self._renderer(plan, files)
        return int(self._run(renderer.sql(renderer.count(plan)))[0][0])

    def distinct(self, plan: Plan, columns: tuple[str, ...]) -> int:
        renderer = self._renderer(plan, self._files(plan))
        return int(self._run(renderer.sql(renderer.distinct(plan, columns)))[0][0])

    def figures(self, plan: FigurePlan) -> Rows:
        again = frozenset(file.path for file in sent_again(plan, self._footers))
        within = frozenset(place for place, _ in relevant(plan.snapshot.files, plan.view, plan.condition))
        numbered = enumerate(plan.snapshot.files)
        files = [(place, file) for place, file in numbered if place in within or file.path in again]
        renderer = self._renderer(plan, files)
        statement = replayed(renderer, plan) if again else once(renderer, plan)
        return self._run(renderer.sql(statement))

    def batches(self, plan: Plan) -> Generator[Any, None, None]:
        renderer = self._renderer(plan, self._files(plan))
        sql = renderer.sql(renderer.rows(plan))
        with closing(self._scans.batches(sql)) as found:
            for batch in found:
                yield batch.cast(_in_utc(batch.schema))

    def diff(self, diff: Diff) -> DiffPage:
        try:
            old, new = differing(diff, lambda file: self._footers.of(file.path).columns)
        except FileNotFoundError as error:
            raise gone() from error
        sides = ((diff.before, old), (diff.after, new))
        before, after = (
            self._renderer(Plan(side.snapshot, side.view, side.view.everything()), list(enumerate(files)))
            for side, files in sides
        )
        return _diff_page(diff, self._run(diff_sql(diff, before, after)))

    def close(self) -> None:
        self._pages.close()
        self._scans.close()

    def _page(self, plan: Plan) -> Page:
        if plan.query.limit_per is not None:
            renderer = self._renderer(plan, self._files(plan))
            rows = self._run(renderer.sql(renderer.per_parent(plan, MAX_ROWS_PER_PARENTS + 1)))
            shown = rows[:MAX_ROWS_PER_PARENTS]
            return Page([_row(plan, row) for row in shown], None, is_truncated=len(rows) > MAX_ROWS_PER_PARENTS)
        rows = self._natural(plan) if plan.is_in_natural_order else self._ordered(plan)
        shown = rows[: plan.query.limit]
        position = _position(plan, shown[-1]) if len(rows) > plan.query.limit else None
        return Page([_row(plan, row) for row in shown], position)

    def _natural(self, plan: Plan) -> Rows:
        """Rows as they are stored: first those after the position in its file, then those of later files."""
        most = plan.query.limit + 1
        files = self._files(plan)
        if plan.query.position is None:
            return self._read(plan, files, most)
        place, row = plan.query.position
        same = [each for each in files if each[0] == place]
        rows = self._read(plan, same, most, after_row=row) if same else []
        later = [each for each in files if each[0] > place]
        return rows if len(rows) == most or not later else [*rows, *self._read(plan, later, most - len(rows))]

    def _ordered(self, plan: Plan) -> Rows:
        """Rows in an order: looked for near its beginning first, where the files' footers tell how."""
        most = plan.query.limit + 1
        files = self._files(plan)
        for bound in self._bounds(plan, files):
            rows = self._read(plan, files, most, bound=bound)
            if len(rows) == most:
                return rows
        return self._read(plan, files, most)

    def _bounds(self, plan: Plan, files: Sequence[Numbered]) -> Iterator[Any]:
        part = plan.query.order[0]
        column = plan.view.by_name.get(part.column)
        start = plan.query.position[0] if plan.query.position else None
        if column is None or not column.is_plain or plan.query.page or (plan.query.position and start is None):
            return iter(())
        footers = [self._footers.of(file.path) for _, file in files]
        groups = [footer.groups(part.column) for footer in footers]
        if any(each is None for each in groups) or not _are_alike(column.stored, footers):
            return iter(())
        known = [group for each in groups for group in each or ()]
        return bounds(known, converted(start, column.stored.stored), descending=part.descending)

    def _read(
        self, plan: Plan, files: Sequence[Numbered], most: int, *, after_row: int | None = None, bound: Any = None
    ) -> Rows:
        renderer = self._renderer(plan, files)
        statement = renderer.page(_numbered_from(plan, files), most, after_row)
        if bound is not None:
            part = plan.query.order[0]
            kind = exp.GTE if part.descending else exp.LTE
            column = exp.Column(this=exp.Identifier(this=part.column, quoted=True))
            value = renderer.bound(bound, plan.view.by_name[part.column].stored.stored)
            statement = statement.where(kind(this=column, expression=value), copy=False)
        is_quick = plan.is_in_natural_order or bound is not None
        run = self._run_quickly if is_quick else self._run
        return [(*row[:-2], files[row[-2]][0], row[-1]) for row in run(renderer.sql(statement))]

    def _files(self, plan: Plan) -> list[Numbered]:
        return relevant(plan.snapshot.files, plan.view, plan.query.where)

    def _renderer(self, plan: Plan | FigurePlan, files: Sequence[Numbered]) -> Renderer:
        parameters: dict[str, Any] = {}
        stored = {column.name: column for column in plan.snapshot.columns}
        try:
            source = relation(plan.snapshot, [file for _, file in files], self._footers, parameters)
        except FileNotFoundError as error:
            raise gone() from error
        return Renderer(source, plan.view, stored, self._mask_key, "duckdb", parameters)

    def _run(self, sql: Sql) -> Rows:
        return self._scans.rows(sql)

    def _run_quickly(self, sql: Sql) -> Rows:
        """By one thread; where that takes long, because what is looked for is rare, again by all of them."""
        try:
            return self._pages.rows(sql)
        except Timeout:
            return self._scans.rows(sql)


def _are_alike(column: LakeColumn, footers: Sequence[Footer]) -> bool:
    """Whether a column's values are ordered in each file as they are in all of them."""
    found = {each.stored for footer in footers for each in footer.columns if each.name == column.name}
    return len(found) == 1 or column.type in (ColumnType.INTEGER, ColumnType.NUMBER)


def _in_utc(schema: Any) -> Any:
    """The schema with times in UTC, which DuckDB has another name for."""
    zoned = [field.name for field in schema if pa.types.is_timestamp(field.type) and field.type.tz is not None]
    times = {name: schema.field(name).with_type(pa.timestamp("us", "UTC")) for name in zoned}
    return pa.schema([times.get(field.name, field) for field in schema])


def _row(plan: Plan, row: Sequence[Any]) -> dict[str, Any]:
    """A row by its columns' names; what is nested is read from its JSON."""
    by_name = plan.view.by_name
    return {name: _nested(by_name[name], value) for name, value in zip(plan.names, row, strict=False)}


def _nested(column: ViewColumn, value: Any) -> Any:
    return orjson.loads(value) if column.type is ColumnType.JSON and value is not None else value


def _position(plan: Plan, row: Sequence[Any]) -> tuple[Any, ...]:
    """The values that a row was ordered by. Positions come last in what was read."""
    read = list(dict.fromkeys((*plan.names, *(part.column for part in plan.query.order), *POSITIONS)))
    return tuple(row[read.index(part.column)] for part in plan.query.order)


def _numbered_from(plan: Plan, files: Sequence[Numbered]) -> Plan:
    """The plan with its position's file counted among the files that are read."""
    position = plan.query.position
    if position is None or plan.is_in_natural_order:
        return plan
    local_place = bisect_left([place for place, _ in files], position[-2])
    return replace(plan, query=plan.query.at((*position[:-2], local_place, position[-1])))


def _diff_page(diff: Diff, rows: Rows) -> DiffPage:
    width = len(diff.names)
    counts = rows[0][1 + 2 * width : 4 + 2 * width] if rows else (0, 0, 0)
    changes = [_changed(diff, row[0], row[1 : 1 + width], row[1 + width : 1 + 2 * width]) for row in rows[: diff.limit]]
    return DiffPage(changes, dict(zip(CHANGES, counts, strict=True)), is_last=len(rows) <= diff.limit)


def _changed(diff: Diff, kind: str, row: Sequence[Any], before: Sequence[Any]) -> Change:
    return Change(kind, _compared(diff, row), _compared(diff, before) if kind == CHANGED else None)


def _compared(diff: Diff, row: Sequence[Any]) -> dict[str, Any]:
    """A row of either version by its columns' names; what is nested in both is read from its JSON."""
    return {name: _compared_value(diff.column(name), value) for name, value in zip(diff.names, row, strict=True)}


def _compared_value(column: tuple[ViewColumn | None, ViewColumn | None], value: Any) -> Any:
    is_nested = all(each is None or each.type is ColumnType.JSON for each in column)
    return orjson.loads(value) if is_nested and value is not None else value
