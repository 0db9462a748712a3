"""Documents that a request only names: trusted ones, which the operator lists, and those that clients made known.

What clients make known (Apollo's automatic persisted queries) is kept by the sender's own schema: who names a hash
learns at most that somebody who may read the same datasets has sent the very text whose hash he knows.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from graphql import GraphQLError

from graphql_gateway.documents import Documents, parsed
from graphql_gateway.errors import Failure, Malformed, TooLarge
from graphql_gateway.graphql_http import Parameters
from graphql_gateway.limits import Limits
from graphql_gateway.settings import Settings, SettingsError
from graphql_gateway.strict_json import loads

MAX_FILE_BYTES = 64 << 20
APOLLO_FORMAT = "apollo-persisted-query-manifest"
SHA256 = "sha256:"
Errors = Sequence[GraphQLError | Failure]
ID = re.compile(r"[^\s\x00-\x1f]{1,200}")


@dataclass(frozen=True)
class TrustedDocuments:
    """The operator's documents, by id and by the SHA-256 of their text."""

    texts: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, limits: Limits) -> "TrustedDocuments":
        """Read a manifest: Apollo's, or an object of texts by id as Relay's compiler writes it.

        Raises SettingsError with every mistake in it.
        """
        texts = _manifest(path)
        mistakes = [mistake for name, text in texts.items() if (mistake := _mistake(name, text, limits))]
        if mistakes:
            raise SettingsError(mistakes)
        return cls(texts, {sha256(text): text for text in texts.values()})

    def text(self, name: str) -> str | None:
        """The document of an id, or of `sha256:` and the hash of its text."""
        by_hash = self.hashes.get(name.removeprefix(SHA256)) if name.startswith(SHA256) else None
        return self.texts.get(name) or by_hash


@dataclass(frozen=True)
class PersistedDocuments:
    """What a request may name, and which documents are run at all."""

    trusted: TrustedDocuments = TrustedDocuments()
    is_trusted_only: bool = False

    def admit(self, text: str) -> None:
        """Raises Failure for a document that is not run here."""
        if self.is_trusted_only and sha256(text) not in self.trusted.hashes:
            raise Failure("Only trusted documents are run here", code="QUERY_NOT_IN_SAFELIST")

    def text(self, asked: Parameters) -> str | None:
        """The text that a request gives, or that of the trusted document it names.

        Raises Malformed for the hash of another text, Failure where there is no such document and cannot be.
        """
        if asked.query:
            _check_hash(asked)
            return asked.query
        found = self.trusted.text(_name(asked))
        if found is None and self.is_trusted_only:
            raise Failure("There is no such trusted document", code="PERSISTED_QUERY_NOT_IN_LIST")
        return found


def kept_text(asked: Parameters, documents: Documents) -> str | None:
    """The text behind a hash, where clients with the same schema have made it known."""
    name = _name(asked)
    return documents.kept_text(name.removeprefix(SHA256)) if name.startswith(SHA256) else None


def not_found(asked: Parameters) -> Failure:
    """What Apollo's clients take for the word to send the text with the hash; the message matters to them."""
    message = "PersistedQueryNotFound" if asked.sha256 else "There is no such document"
    return Failure(message, code="PERSISTED_QUERY_NOT_FOUND")


def told(errors: Errors, asked: Parameters) -> Errors:
    """Who has not sent the text learns from no error what it says: it may name what he is not to know of."""
    hidden = Failure("The document asks for what there is not, or not for you", code="INVALID")
    return [hidden] if errors and asked.is_resolved else errors


def _check_hash(asked: Parameters) -> None:
    if asked.sha256 is not None and asked.sha256 != sha256(asked.query):
        raise Malformed("provided sha does not match query")


def _name(asked: Parameters) -> str:
    return asked.document_id or f"{SHA256}{asked.sha256}"


def persisted_documents(settings: Settings, limits: Limits) -> PersistedDocuments:
    """The documents that the settings name. Raises SettingsError."""
    if settings.graphql_documents is not None:
        return PersistedDocuments(
            TrustedDocuments.load(settings.graphql_documents, limits), settings.graphql_trusted_only
        )
    if settings.graphql_trusted_only:
        raise SettingsError(["GRAPHQL_TRUSTED_ONLY: expected GRAPHQL_DOCUMENTS to name the trusted ones"])
    return PersistedDocuments()


def _manifest(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _wrong(f"cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise _wrong(f"is larger than {MAX_FILE_BYTES} bytes")
    try:
        return _texts(loads(content, "the file"))
    except Malformed as error:
        raise _wrong(error.message) from error


def _texts(content: Any) -> dict[str, str]:
    if isinstance(content, dict) and content.get("format") == APOLLO_FORMAT:
        return _apollo(content)
    if not isinstance(content, dict) or not all(isinstance(text, str) for text in content.values()):
        raise _wrong(f"expected an object of documents by id, or {APOLLO_FORMAT}")
    return content


def _apollo(content: dict[str, Any]) -> dict[str, str]:
    operations = content.get("operations")
    if content.get("version") != 1 or not isinstance(operations, list):
        raise _wrong(f"expected version 1 of {APOLLO_FORMAT}, with a list of operations")
    pairs = [(each.get("id"), each.get("body")) for each in operations if isinstance(each, dict)]
    texts = {name: body for name, body in pairs if isinstance(name, str) and isinstance(body, str)}
    if len(texts) < len(operations):
        raise _wrong("expected operations with an id of their own and a body")
    return texts


def _mistake(name: str, text: str, limits: Limits) -> str | None:
    shown = f"GRAPHQL_DOCUMENTS: {name[:100]!r}"
    if not ID.fullmatch(name):
        return f"{shown} is no id of 1 to 200 characters without spaces"
    try:
        parsed(text, limits)
    except (GraphQLError, TooLarge) as error:
        return f"{shown}: {error.message}"
    return None


def _wrong(mistake: str) -> SettingsError:
    return SettingsError([f"GRAPHQL_DOCUMENTS: {mistake}"])


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
