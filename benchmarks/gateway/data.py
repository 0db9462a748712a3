"""What the gateways serve: articles of few authors, straight into the core's database, and readers with tokens."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, insert

from benchmarks import governance
from rest_api.database import create_engine_for, utc_now
from rest_api.models.article import Article
from rest_api.models.user import Name, User
from rest_api.services.passwords import generate_password, hash_password
from tests import live

ARTICLES, AUTHORS = 100, 10
READERS = 200
LOGINS_AT_ONCE = 2
CONTENT = "A quiet lake. " * 40
# As many as `start.sh` runs on two processors.
CORE_WORKERS = 2
# The load is far above what one user may ask of a real server.
PER_MINUTE, SECONDS = "10000000", "86400"


@dataclass(frozen=True)
class Readers:
    """A core and the tokens of those who read from it."""

    core: live.LiveCore
    tokens: tuple[str, ...]


@contextmanager
def core(folder: Path, articles_of: Sequence[int], readers: int) -> Iterator[Readers]:
    """A core in which each author has as many articles as `articles_of` says, in turns, and so many readers."""
    options = governance.OPTIONS
    with live.core(
        folder, workers=CORE_WORKERS, options=options, ACCESS_TOKEN_SECONDS=SECONDS, REQUESTS_PER_MINUTE=PER_MINUTE
    ) as served:
        password = generate_password()
        names = [f"reader_{number}" for number in range(readers)]
        _fill(folder / "lakeport.db", articles_of, names, hash_password(password))
        log_in = partial(served.log_in, password=password)
        with ThreadPoolExecutor(LOGINS_AT_ONCE) as threads:
            yield Readers(served, tuple(threads.map(log_in, names)))


def _fill(database: Path, articles_of: Sequence[int], readers: Sequence[str], password_hash: str) -> None:
    engine = create_engine_for(f"sqlite:///{database}")
    authors = [f"author_{number}" for number in range(len(articles_of))]
    try:
        with engine.begin() as connection:
            ids = [_add_user(connection, name, "editor", password_hash) for name in authors]
            connection.execute(insert(Article), [_article(author) for author in _in_turns(ids, articles_of)])
            for name in readers:
                _add_user(connection, name, "reader", password_hash)
    finally:
        engine.dispose()


def _in_turns(authors: Sequence[int], articles_of: Sequence[int]) -> list[int]:
    """The author of each article: neighbours have different ones as long as there are several."""
    turns = range(max(articles_of))
    return [author for turn in turns for author, count in zip(authors, articles_of, strict=True) if turn < count]


def _add_user(connection: Connection, username: str, role: str, password_hash: str) -> int:
    connection.execute(insert(Name).values(name=username))
    user = {"username": username, "password_hash": password_hash, "role": role, "created_at": utc_now()}
    return int(connection.execute(insert(User).values(**user).returning(User.id)).scalar_one())


def _article(author: int) -> dict[str, object]:
    now = utc_now()
    titled = {"title": f"What author {author} saw", "content": CONTENT, "author_id": author}
    return {**titled, "version": 1, "created_at": now, "updated_at": now}
