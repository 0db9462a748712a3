"""Articles: versions guard against lost updates, and every change leaves its event."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from rest_api.database import utc_now
from rest_api.errors import Conflict, NotFound, PreconditionFailed
from rest_api.models.article import Article, ArticleTombstone
from rest_api.services import digests, events
from rest_api.services.article_drafts import Draft


@dataclass(frozen=True)
class Expected:
    """The version a caller believes an article to have: from `If-Match`, from the body, or unsaid."""

    if_match: frozenset[str] | None = None
    version: int | None = None

    def check(self, article: Article) -> None:
        """Raises PreconditionFailed for a stale `If-Match`, Conflict for a stale `version`."""
        if self.if_match is not None and not self.if_match & {etag(article), "*"}:
            raise PreconditionFailed("The article has changed since this ETag")
        if self.version is not None and self.version != article.version:
            raise Conflict(f"The article is at version {article.version} by now", code="version_conflict")


def etag(article: Article) -> str:
    """The opaque tag of an article as it is now."""
    return f"{article.id}-{article.version}"


def find_article(session: Session, article_id: int) -> Article:
    """The article of that id. Raises NotFound."""
    article = session.get(Article, article_id)
    if article is None:
        raise NotFound("There is no such article")
    return article


def create_article(session: Session, title: str, content: str, author_id: int) -> Article:
    """Create an article of an author."""
    now = utc_now()
    article = Article(title=title, content=content, author_id=author_id, version=1, created_at=now, updated_at=now)
    session.add(article)
    session.flush()
    tell(session, "article.created", article)
    return article


def change_article(
    session: Session, article_id: int, expected: Expected, *, title: str | None = None, content: str | None = None
) -> Article:
    """Change what is given. Raises NotFound, PreconditionFailed, Conflict."""
    article = _locked(session, article_id, expected)
    article.title = article.title if title is None else title
    article.content = article.content if content is None else content
    if not session.is_modified(article):
        return article
    article.version += 1
    article.updated_at = utc_now()
    digests.stamp(article)
    session.flush()
    tell(session, "article.updated", article)
    return article


def delete_article(session: Session, article_id: int, expected: Expected) -> None:
    """Delete an article; one from elsewhere leaves a tombstone. Raises as `change_article`."""
    article = _locked(session, article_id, expected)
    session.delete(article)
    bury(session, article)
    session.flush()
    tell(session, "article.deleted", article)


def bury(session: Session, article: Article) -> None:
    """Leave the tombstone of an article from elsewhere."""
    if article.origin is None or article.external_id is None:
        return
    session.merge(
        ArticleTombstone(
            origin=article.origin,
            external_id=article.external_id,
            external_version=article.external_version,
            deleted_at=utc_now(),
        )
    )


def tell(session: Session, event_type: str, article: Article | Draft) -> None:
    """Leave the event of a change: the article as it is after it."""
    data = {
        "id": article.id,
        "title": article.title,
        "content": article.content,
        "author_id": article.author_id,
        "origin": article.origin,
        "external_id": article.external_id,
        "external_version": article.external_version,
        "version": article.version,
    }
    events.record(session, type=event_type, subject=f"articles/{article.id}", data=data)


def _locked(session: Session, article_id: int, expected: Expected) -> Article:
    article = session.get(Article, article_id, with_for_update=True)
    if article is None:
        raise NotFound("There is no such article")
    expected.check(article)
    return article
