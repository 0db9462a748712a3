"""Demo users with random passwords, a group, and the articles they wrote."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from rest_api.demo.prose import write_drafts
from rest_api.demo.randomness import stream
from rest_api.models.article import Article
from rest_api.models.user import Name
from rest_api.services import articles, groups, users
from rest_api.services.passwords import generate_password, hash_password

ARTICLES = 200
SHOPS = "shops"
"""Whom `integration.feed` logs in as."""
PEOPLE = {"ada": "editor", "grace": "editor", "alan": "editor", "rosa": "reader", "linus": "reader", SHOPS: "reader"}
GROUP, MEMBERS = "analysts", ("ada", "rosa")
MONTHS_SECONDS = 120 * 86_400


@dataclass(frozen=True)
class Login:
    """What a person needs to try somebody's rights out."""

    username: str
    role: str
    password: str


def is_peopled(session: Session) -> bool:
    """Whether the demo users were made before; their names are never given twice."""
    return any(session.get(Name, name) is not None for name in (*PEOPLE, GROUP))


def make_logins() -> list[Login]:
    """The demo users with new passwords."""
    return [Login(name, role, generate_password()) for name, role in PEOPLE.items()]


def add_people(session: Session, logins: list[Login], seed: int, until: datetime) -> None:
    """Add the users, their group and their articles; the caller commits."""
    hashes = [hash_password(login.password) for login in logins]
    added = [
        users.create_user(session, login.username, password_hash, login.role)
        for login, password_hash in zip(logins, hashes, strict=True)
    ]
    groups.create_group(session, GROUP)
    for name in MEMBERS:
        groups.add_member(session, GROUP, name)
    _add_articles(session, [user.id for user in added if user.role == "editor"], seed, until)


def _add_articles(session: Session, author_ids: list[int], seed: int, until: datetime) -> None:
    random = stream(seed, "articles")
    ages = sorted((random.uniform(60, MONTHS_SECONDS) for _ in range(ARTICLES)), reverse=True)
    written = []
    for draft, age in zip(write_drafts(stream(seed, "drafts"), ARTICLES), ages, strict=True):
        at = until - timedelta(seconds=round(age))
        author_id = random.choice(author_ids)
        written.append(
            Article(
                title=draft.title,
                content=draft.content,
                author_id=author_id,
                version=1,
                created_at=at,
                updated_at=at,
            )
        )
    session.add_all(written)
    session.flush()
    for article in written:
        articles.tell(session, "article.created", article)
