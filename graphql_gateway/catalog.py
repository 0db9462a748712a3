"""What there is in the lake for a caller, as the core's catalog tells him with his own token."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from graphql_gateway.errors import Refusal, UpstreamUnreadable
from graphql_gateway.rest_client import UNREADABLE, Call, Core

ROUTE = "/data/datasets"
PAGE, TWO_PAGES = 100, 2
NOT_MODIFIED = 304
MEMBERS = "name,kind,columns,description,key,time_column,privileges"


@dataclass(frozen=True)
class Column:
    """A column that the caller may see; `type` is the core's word for what it holds."""

    name: str
    type: str
    is_masked: bool


@dataclass(frozen=True)
class Dataset:
    """A dataset that the caller may read."""

    name: str
    kind: str
    columns: tuple[Column, ...]
    description: str

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "Dataset":
        """The dataset in an entry of the catalog."""
        columns = (Column(each["name"], each["type"], bool(each["mask"])) for each in told["columns"])
        return cls(told["name"], told["kind"], tuple(columns), told["description"])


Catalog = tuple[Dataset, ...]


@dataclass(frozen=True)
class Page:
    """A page of the catalog, and the tag under which the core knows whether it has changed."""

    tag: str | None
    datasets: Catalog
    next: str | None


Pages = tuple[Page, ...]


def datasets_of(pages: Pages) -> Catalog:
    """The datasets of all pages."""
    return tuple(dataset for page in pages for dataset in page.datasets)


def sharing(pages: Pages, catalog: Catalog) -> Pages:
    """Pages made of the very datasets of an equal catalog, so that many callers need no more room than one."""
    shared, place = [], 0
    for page in pages:
        shared.append(replace(page, datasets=catalog[place : place + len(page.datasets)]))
        place += len(page.datasets)
    return tuple(shared)


async def read_pages(core: Core, known: Pages = ()) -> Pages:
    """The pages of the caller's catalog; those of `known` that have not changed are these very objects.

    Raises as RestClient.send does.
    """
    try:
        return await _read(core, known)
    except Refusal:
        # A cursor holds no longer than the rights it was given under.
        if len(known) < TWO_PAGES:
            raise
        return await _read(core, ())


async def _read(core: Core, known: Pages) -> Pages:
    pages: list[Page] = []
    cursor = None
    while not pages or cursor is not None:
        before = known[len(pages)] if len(pages) < len(known) else None
        pages.append(await _page(core, cursor, before))
        cursor = pages[-1].next
        if before is not pages[-1]:
            known = ()
    return tuple(pages)


async def _page(core: Core, cursor: str | None, before: Page | None) -> Page:
    after = [] if cursor is None else [("cursor", cursor)]
    query = [("select", MEMBERS), ("limit", str(PAGE)), *after]
    answer = await core.answer(Call("GET", ROUTE, ROUTE, query, tag=before.tag if before else None))
    if before is not None and answer.status == NOT_MODIFIED:
        return before
    try:
        return Page(answer.tag, tuple(map(Dataset.read, answer.body["data"])), answer.body["next"])
    except (LookupError, TypeError, AttributeError) as error:
        raise UpstreamUnreadable(UNREADABLE) from error
