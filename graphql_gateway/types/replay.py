"""Replays: transactions sent through the pipeline again, and what became of them."""

from typing import Any

from ariadne import EnumType, MutationType, ObjectType, QueryType
from ariadne.types import SchemaBindable

from graphql_gateway.rest_client import Call, Core, Info
from graphql_gateway.types.answers import answering
from graphql_gateway.types.connections import UrlSource, entity_connection
from graphql_gateway.types.dataset import connection_below
from graphql_gateway.types.entities import Entity, One, Pairs, Row, below
from graphql_gateway.types.filters import filter_pairs
from graphql_gateway.types.joins import shown_one
from graphql_gateway.types.selections import Selection

ANSWERED = (400, 403, 404, 409, 410, 412)
ROUTE, ONE, EVENTS = "/replays", "/replays/{replay_id}", "/replays/{replay_id}/events"
OF_ONE, OF_MANY = "/transactions/{transaction_id}/replay", "/transactions/replay"
COLUMNS = {"transactionId": "transaction_id", "createdAt": "created_at", "settledAt": "settled_at"}
VERDICTS = ("matched", "pending", "missing", "diverged", "dead_lettered")


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    query, mutation = QueryType(), MutationType()
    query.set_field("replays", list_replays)
    query.set_field("replay", read_replay)
    mutation.set_field("replayTransaction", replay_transaction)
    mutation.set_field("replayTransactions", replay_transactions)
    return [query, mutation, *_types(), EnumType("Verdict", {each.upper(): each for each in VERDICTS})]


def _types() -> list[SchemaBindable]:
    replay, counts, verdict = ObjectType("Replay"), ObjectType("ReplayCounts"), ObjectType("ReplayVerdict")
    replay.set_field("counts", read_counts)
    replay.set_field("verdicts", list_verdicts)
    counts.set_alias("deadLettered", "dead_lettered")
    verdict.set_alias("transactionId", "transaction_id")
    return [replay, counts, verdict, Entity("Replay", ROUTE, COLUMNS, {"job": One("Job", "job_id")})]


async def list_replays(_: object, info: Info, **arguments: Any) -> Row:
    """One page."""
    return await entity_connection(info, ROUTE, ROUTE, arguments)


async def read_replay(_: object, info: Info, id: str) -> Row:  # noqa: A002
    """One replay."""
    return await shown_one(info.context, await _read(info.context, id), Selection.of(info))


async def read_counts(replay: Row, info: Info) -> Row:
    """The numbers, which a list does not tell; those of several replays take turns."""
    if "verdicts" not in replay:
        async with info.context.turns:
            replay = await _read(info.context, replay["id"])
    counts: Row = {"total": replay["total"], **replay["verdicts"]}
    return counts


async def list_verdicts(replay: Row, info: Info, verdict: str | None = None, **arguments: Any) -> Row:
    """One page."""
    of_one: Pairs = [] if verdict is None else filter_pairs({"verdict": {"eq": verdict}})
    return await connection_below(info, UrlSource(EVENTS, f"{_path(replay['id'])}/events", of_one), arguments)


@answering(*ANSWERED)
async def replay_transaction(_: object, info: Info, id: str, **given: Any) -> Row:  # noqa: A002
    """The new replay."""
    return await _asked(info, Call("POST", OF_ONE, f"{below('/transactions', 'Transaction', id)}/replay", body=given))


@answering(*ANSWERED)
async def replay_transactions(_: object, info: Info, **given: Any) -> Row:
    """The new replay."""
    return await _asked(info, Call("POST", OF_MANY, OF_MANY, body=given))


async def _asked(info: Info, call: Call) -> Row:
    accepted = await info.context.read(call)
    replay = await _read(info.context, accepted["replay_id"])
    return {"replay": await shown_one(info.context, replay, Selection.of(info, "replay"))}


async def _read(core: Core, replay_id: str) -> Row:
    return await core.read(Call("GET", ONE, _path(replay_id)))


def _path(replay_id: str) -> str:
    return below(ROUTE, "Replay", replay_id)
