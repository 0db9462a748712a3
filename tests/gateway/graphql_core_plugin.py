"""A pytest plugin for graphql-core's own tests: what they execute, the gateway's executor executes."""

import sys
from collections import Counter
from typing import Any

import pytest
from graphql import GraphQLObjectType
from graphql.execution import Executor
from graphql.execution.collect_fields import GroupedFieldSet
from graphql.execution.executor_throwing_on_incremental import ExecutorThrowingOnIncremental
from graphql.execution.incremental.incremental_executor import IncrementalExecutor

from graphql_gateway.executor import Plan, ProjectingExecutor

DONE: Counter[str] = Counter()


class Counted(ProjectingExecutor):
    """The gateway's executor, counting what it does."""

    def execute_operation(self, serially: bool | None = None) -> Any:
        """Execute an operation."""
        DONE["operations"] += 1
        return super().execute_operation(serially)

    def _plan(self, parent_type: GraphQLObjectType, selected: GroupedFieldSet) -> Plan:
        plan = super()._plan(parent_type, selected)
        DONE["fields"] += len(plan.fields)
        return plan


class Incremental(Counted, IncrementalExecutor):
    """Over the base that `execute` takes by default: it knows `@defer` and `@stream`."""


class Throwing(Counted, ExecutorThrowingOnIncremental):
    """Over the base that `subscribe` takes by default."""


REPLACED = {Executor: Counted, IncrementalExecutor: Incremental, ExecutorThrowingOnIncremental: Throwing}


def pytest_configure() -> None:
    """Put ours wherever the package holds a name for one of its own that makes executors."""
    for module in [module for name, module in sys.modules.items() if name.split(".")[0] == "graphql"]:
        for name, value in list(vars(module).items()):
            if isinstance(value, type) and value in REPLACED:
                setattr(module, name, REPLACED[value])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was executed by ours."""
    terminalreporter.write_line(f"executed {DONE['operations']} operations, planned {DONE['fields']} fields")
