"""Jobs: long work, done by the worker."""

from typing import Any

from ariadne import EnumType, InputType, MutationType, QueryType
from ariadne.types import SchemaBindable

from graphql_gateway.rest_client import Call, Info
from graphql_gateway.types.answers import answering
from graphql_gateway.types.connections import entity_connection
from graphql_gateway.types.entities import Entity, Row
from graphql_gateway.types.joins import shown_one
from graphql_gateway.types.selections import Selection

ANSWERED = (400, 403, 404, 409)
ROUTE, ONE = "/jobs", "/jobs/{job_id}"
COLUMNS = {"createdAt": "created_at", "startedAt": "started_at", "finishedAt": "finished_at"}
STATES = ("queued", "running", "succeeded", "failed", "cancelled")


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    query, mutation = QueryType(), MutationType()
    query.set_field("jobs", list_jobs)
    query.set_field("job", read_job)
    mutation.set_field("startJob", start_job)
    mutation.set_field("cancelJob", cancel_job)
    state = EnumType("JobState", {each.upper(): each for each in STATES})
    inputs = [InputType(name, out_names=COLUMNS) for name in ("JobWhere", "JobOrder")]
    return [query, mutation, Entity("Job", ROUTE, COLUMNS), state, *inputs]


async def list_jobs(_: object, info: Info, **arguments: Any) -> Row:
    """One page."""
    return await entity_connection(info, ROUTE, ROUTE, arguments)


async def read_job(_: object, info: Info, id: int) -> Row:  # noqa: A002
    """One job."""
    job = await info.context.read(Call("GET", ONE, f"{ROUTE}/{id}"))
    return await shown_one(info.context, job, Selection.of(info))


@answering(*ANSWERED)
async def start_job(_: object, info: Info, **given: Any) -> Row:
    """The new job."""
    return await _one(info, Call("POST", ROUTE, ROUTE, body=given))


@answering(*ANSWERED)
async def cancel_job(_: object, info: Info, id: int) -> Row:  # noqa: A002
    """The job, which ends or has ended."""
    return await _one(info, Call("DELETE", ONE, f"{ROUTE}/{id}"))


async def _one(info: Info, call: Call) -> Row:
    job = await info.context.read(call)
    return {"job": await shown_one(info.context, job, Selection.of(info, "job"))}
