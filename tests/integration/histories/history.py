"""The checker: what a history says against the promise that nothing is lost or doubled and the newest wins."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Written:
    """A change that was committed in base A."""

    key: str
    version: int
    is_gone: bool = False


@dataclass(frozen=True)
class Confirmed:
    """The route had confirmed a change at this moment, or before: its watermark was seen behind it."""

    at: float
    key: str
    version: int


@dataclass(frozen=True)
class Applied:
    """An effect on base B. Several of one batch are told with the article as the last of them left it.

    `article` and `revision` are the core's own; a delete has the version of what it deleted.
    """

    key: str
    article: int
    revision: int
    version: int
    kind: Literal["created", "updated", "deleted"]


@dataclass(frozen=True)
class Seen:
    """What a reader got for a key whose call began then; None where there was nothing."""

    began: float
    key: str
    version: int | None


@dataclass(frozen=True)
class History:
    """All of it: `applied` in the order of effects, `seen` in that of one reader's calls, `final` by key."""

    written: Sequence[Written] = ()
    confirmed: Sequence[Confirmed] = ()
    applied: Sequence[Applied] = ()
    seen: Sequence[Seen] = ()
    final: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, order=True)
class Violation:
    """Where the promise was broken."""

    kind: Literal["lost", "invented", "doubled", "inverted", "stale"]
    key: str
    detail: str


def violations(history: History) -> list[Violation]:
    """Each of them once, in the order of their kinds and keys."""
    found = {*_lost(history), *_invented(history), *_doubled(history), *_inverted(history), *_stale(history)}
    return sorted(found)


def _lost(history: History) -> Iterator[Violation]:
    for key, newest in _newest(history.written).items():
        version = history.final.get(key)
        if newest.is_gone and version is not None:
            yield Violation("lost", key, f"it was deleted at {newest.version}, and is there at {version}")
        if not newest.is_gone and (version is None or version < newest.version):
            yield Violation("lost", key, f"{newest.version} was written, and {version} is there")


def _invented(history: History) -> Iterator[Violation]:
    known = {(each.key, each.version) for each in history.written if not each.is_gone}
    there = [(each.key, each.version) for each in history.applied] + list(history.final.items())
    for key, version in there:
        if (key, version) not in known:
            yield Violation("invented", key, f"{version} is there, and was never written")


def _doubled(history: History) -> Iterator[Violation]:
    effects: dict[tuple[str, int], set[tuple[int, int]]] = defaultdict(set)
    living: dict[str, int] = {}
    for each in history.applied:
        if each.kind == "deleted":
            living.pop(each.key, None)
            continue
        effects[each.key, each.version].add((each.article, each.revision))
        if living.setdefault(each.key, each.article) != each.article:
            yield Violation("doubled", each.key, f"there are articles {living[each.key]} and {each.article} of it")
    for (key, version), times in effects.items():
        if len(times) > 1:
            yield Violation("doubled", key, f"{version} was applied {len(times)} times")


def _inverted(history: History) -> Iterator[Violation]:
    reached: dict[str, int] = {}
    for each in history.applied:
        before = reached.get(each.key, each.version)
        if each.version < before:
            yield Violation("inverted", each.key, f"{each.version} was applied after {before}")
        reached[each.key] = max(before, each.version)


def _stale(history: History) -> Iterator[Violation]:
    """What was seen must not be older than what was confirmed before the look, or than what was seen before."""
    written = {(each.key, each.version): each for each in history.written}
    last_delete = _newest(each for each in history.written if each.is_gone)
    reached: dict[str, int] = {}
    waiting = sorted(history.confirmed, key=lambda each: each.at, reverse=True)
    for look in history.seen:
        while waiting and waiting[-1].at <= look.began:
            each = waiting.pop()
            reached[each.key] = max(reached.get(each.key, 0), each.version)
        least = reached.get(look.key, 0)
        if look.version is not None:
            if look.version < least:
                yield Violation("stale", look.key, f"{look.version} was seen where {least} was known to be there")
            reached[look.key] = max(least, look.version)
        elif _is_there(written.get((look.key, least))) and _version(last_delete.get(look.key)) < least:
            yield Violation("stale", look.key, f"nothing was seen where {least} was known to be there")


def _newest(written: Iterable[Written]) -> dict[str, Written]:
    newest: dict[str, Written] = {}
    for each in written:
        if each.version > _version(newest.get(each.key)):
            newest[each.key] = each
    return newest


def _version(written: Written | None) -> int:
    return -1 if written is None else written.version


def _is_there(written: Written | None) -> bool:
    return written is not None and not written.is_gone
