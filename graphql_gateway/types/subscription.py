"""Subscriptions: where the events of each field come from, and what is told of them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any

from ariadne import EnumType, SubscriptionType
from ariadne.types import SchemaBindable

from graphql_gateway.rest_client import Call, Info
from graphql_gateway.subscriptions.events import ARTICLES, DATASETS, JOBS, Event
from graphql_gateway.subscriptions.hub import Joined, Moved, Told
from graphql_gateway.subscriptions.subscription import RightsChanged, Source, Subscription
from graphql_gateway.types.article import ROUTE as ARTICLES_ROUTE
from graphql_gateway.types.entities import Row, entity_of
from graphql_gateway.types.figures import SPEND, TOP, figure_call, shown_figure
from graphql_gateway.types.job import ONE as ONE_JOB
from graphql_gateway.types.job import ROUTE as JOBS_ROUTE
from graphql_gateway.types.joins import shown_one
from graphql_gateway.types.selections import Selection

FIGURES = "transactions"
"""The dataset that figures are made of."""
CHANGES = {"article.created": "created", "article.updated": "updated", "article.deleted": "deleted"}
FINISHED = ("succeeded", "failed", "cancelled")


def make_parts() -> list[SchemaBindable]:
    """What the schema is made of."""
    subscription = SubscriptionType()
    subscription.set_source("articleChanged", follow_articles)
    subscription.set_field("articleChanged", tell_article)
    subscription.set_source("datasetChanged", follow_datasets)
    subscription.set_field("datasetChanged", tell_dataset)
    subscription.set_source("jobProgressed", follow_job)
    subscription.set_source("spendChanged", follow_spend)
    subscription.set_source("topProductsChanged", follow_top_products)
    subscription.set_field("jobProgressed", tell_job)
    subscription.set_field("spendChanged", tell_spend)
    subscription.set_field("topProductsChanged", tell_top_products)
    return [subscription, EnumType("ChangeKind", {each.upper(): each for each in CHANGES.values()})]


async def follow_articles(_: object, info: Source, id: int | None = None) -> AsyncGenerator[Told]:  # noqa: A002
    """Changes of articles."""
    async with aclosing(info.context.follow(ARTICLES)) as events:
        async for told in events:
            if not isinstance(told, Event) or (told.type in CHANGES and id in (None, told.data["id"])):
                yield told


async def tell_article(event: Event, info: Info, **_arguments: Any) -> Row:
    """A change of an article, with what is selected of it."""
    change = CHANGES[event.type]
    told = {"event": change, "id": event.data["id"], "sequence": event.sequence, "article": None}
    if change == "deleted" or "article" not in Selection.of(info).names:
        return told
    return {**told, "article": await _article(event, info)}


async def _article(event: Event, info: Info) -> Row | None:
    selection = Selection.of(info, "article")
    entity, row = entity_of(selection.type), dict(event.data)
    missing = sorted(set(entity.selected_columns(selection)) - row.keys())
    if missing:
        query = (("id", f"eq.{row['id']}"), ("select", ",".join(missing)))
        call = Call("GET", ARTICLES_ROUTE, ARTICLES_ROUTE, query)
        rows = (await event.reads.read(call.target, lambda: info.context.read(call)))["data"]
        if not rows:
            return None
        row.update(rows[0])
    return await shown_one(info.context, row, selection)


async def follow_datasets(_: object, info: Source, name: str | None = None) -> AsyncGenerator[Told]:
    """New versions of datasets."""
    async with aclosing(info.context.follow(DATASETS)) as events:
        async for told in events:
            if not isinstance(told, Event) or name in (None, told.data["dataset"]):
                yield told


def tell_dataset(event: Event, _info: Info, **_arguments: Any) -> Row:
    """A new version of a dataset."""
    return {**event.data, "sequence": event.sequence}


async def follow_job(_: object, info: Source, id: int) -> AsyncGenerator[Told | Row]:  # noqa: A002
    """A job, read again at each of its events until it has ended."""
    call, last = Call("GET", ONE_JOB, f"{JOBS_ROUTE}/{id}"), None
    async with aclosing(info.context.follow(JOBS)) as events:
        async for told in events:
            if not isinstance(told, Event):
                yield told
            if isinstance(told, Moved) or (isinstance(told, Event) and told.data["id"] != id):
                continue
            job = await info.context.core().read(call)
            if job != last:
                yield job
            if job["state"] in FINISHED:
                return
            last = job


async def tell_job(job: Row, info: Info, **_arguments: Any) -> Row:
    """The job."""
    return await shown_one(info.context, dict(job), Selection.of(info))


async def follow_spend(_: object, info: Source, **arguments: Any) -> AsyncGenerator[Told | Row]:
    """What was spent, whenever transactions have changed."""
    async with aclosing(_figure(info.context, figure_call(SPEND, arguments))) as figures:
        async for figure in figures:
            yield figure


async def follow_top_products(_: object, info: Source, **arguments: Any) -> AsyncGenerator[Told | Row]:
    """The products bought most often, whenever transactions have changed."""
    async with aclosing(_figure(info.context, figure_call(TOP, arguments))) as figures:
        async for figure in figures:
            yield figure


def tell_spend(figure: Row, _info: Info, **_arguments: Any) -> Row:
    """The figure."""
    return shown_figure(figure, "groups")


def tell_top_products(figure: Row, _info: Info, **_arguments: Any) -> Row:
    """The figure."""
    return shown_figure(figure, "products")


async def _figure(subscription: Subscription, call: Call) -> AsyncGenerator[Told | Row]:
    """A figure at once, after each change of what it is made of, and when the subscriber's rights have changed."""
    last = None
    async with aclosing(subscription.follow(DATASETS)) as events:
        async for told in events:
            if not isinstance(told, Event):
                yield told
            if isinstance(told, Moved) or (isinstance(told, Event) and told.data["dataset"] != FIGURES):
                continue
            policy, token = subscription.policy, subscription.subscriber.token
            figure = subscription.figures.of(call, policy)
            if isinstance(told, Joined):
                figure.renew()
            try:
                value = await figure.value(token, partial(subscription.read_under, policy, call), told.sequence)
            except RightsChanged:
                continue
            if value is not last:
                yield value
            last = value
