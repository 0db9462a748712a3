"""Whether a grant gives no more than one of its giver's own, and what of a grant a narrowed manager may read."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache

from rest_api.errors import FieldError, Invalid
from rest_api.lake.grants import Grant, strength
from rest_api.lake.names import MAX_CHARACTERS
from rest_api.lake.views import FILTER_PARAMETERS, read_filter
from rest_api.query.conditions import And, Column, ColumnType, Comparison, Condition, Not, Shape
from rest_api.query.values import wrong

Conditions = frozenset[Condition]


class _EveryName(dict[str, Column]):
    """Every name is that of a column, whose type is not known."""

    def __missing__(self, name: str) -> Column:
        return Column(name, ColumnType.ANY)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)


class _AnyShape(Shape):
    """The shape of datasets that are not known yet."""

    @cached_property
    def by_name(self) -> dict[str, Column]:
        return _EveryName()

    def column(self, name: str) -> Column:
        if not 1 <= len(name) <= MAX_CHARACTERS or "\x00" in name:
            raise wrong("filter", f"A column's name has 1 to {MAX_CHARACTERS} characters")
        return self.by_name[name]


ANY_SHAPE = _AnyShape(name="", columns=(), key=(), default_order=(), parameters=FILTER_PARAMETERS)
"""What the filter of a grant on a folder speaks of; its values are compared as they are written."""


def conjuncts(where: Condition | None) -> Conditions:
    """The conditions that must all hold."""
    if where is None:
        return frozenset()
    if not isinstance(where, And):
        return frozenset({where})
    return frozenset(inner for each in where.conditions for inner in conjuncts(each))


def named_in(condition: Condition) -> Iterator[str]:
    """The columns that a condition names."""
    if isinstance(condition, Comparison):
        yield condition.column
    elif isinstance(condition, Not):
        yield from named_in(condition.condition)
    else:
        for member in condition.conditions:
            yield from named_in(member)


def excess(new: Grant, own: Grant, wanted: Conditions, held: Conditions) -> list[FieldError]:
    """What a grant gives beyond one of its giver's own, by the part that is wider; empty where it does not.

    `wanted` and `held` are the conditions of the two filters. Where the new grant is about, the own one must be too.
    """
    found = (_more_columns(new, own), _weaker_masks(new, own), _more_rows(own, wanted, held), _later(new, own))
    return [each for each in found if each is not None]


def _more_columns(new: Grant, own: Grant) -> FieldError | None:
    if own.columns is None:
        return None
    more = [] if new.columns is None else [name for name in new.columns if name not in own.columns]
    if new.columns is not None and not more:
        return None
    given = ", ".join(more) if more else "all columns"
    return FieldError("columns", f"it gives {given}; yours gives only {', '.join(own.columns)}")


def _weaker_masks(new: Grant, own: Grant) -> FieldError | None:
    for name, mask in own.masks.items():
        # On a dataset of a folder that lacks the column, a grant that masks it admits nothing.
        matters = new.path is not None or _shows(new, name)
        if matters and strength(new.masks.get(name)) < strength(mask):
            return FieldError("masks", f"{name} needs the mask {mask} or a stronger one, as in yours")
    return None


def _more_rows(own: Grant, wanted: Conditions, held: Conditions) -> FieldError | None:
    if not held <= wanted:
        return FieldError("filter", f"it lacks conditions of yours, {own.filter}")
    unseen = sorted({name for each in wanted - held for name in named_in(each) if not _shows_plainly(own, name)})
    if unseen:
        return FieldError("filter", f"it names {', '.join(unseen)}, of which yours does not give the values")
    return None


def _later(new: Grant, own: Grant) -> FieldError | None:
    if own.expires_at is None or (new.expires_at is not None and new.expires_at <= own.expires_at):
        return None
    return FieldError("expires_at", "it lasts longer than yours")


def legible(grant: Grant, own: Sequence[Grant]) -> Grant:
    """A grant, without what names columns that the reader's own grants of manage hide from him."""
    if any(each.is_whole for each in own):
        return grant

    def is_shown(name: str) -> bool:
        return any(_shows(each, name) for each in own)

    names = () if grant.filter is None else _names_of(grant.filter)
    is_told = all(any(_shows_plainly(each, name) for each in own) for name in names)
    return replace(
        grant,
        columns=None if grant.columns is None else tuple(filter(is_shown, grant.columns)),
        masks={name: mask for name, mask in grant.masks.items() if is_shown(name)},
        filter=grant.filter if is_told else None,
    )


def _shows(grant: Grant, name: str) -> bool:
    return grant.columns is None or name in grant.columns


def _shows_plainly(grant: Grant, name: str) -> bool:
    return _shows(grant, name) and name not in grant.masks


@lru_cache(maxsize=4_096)
def _names_of(text: str) -> tuple[str, ...]:
    """The columns that a stored filter names; one that cannot be read names what nobody sees."""
    try:
        return tuple(dict.fromkeys(named_in(read_filter(text, ANY_SHAPE))))
    except Invalid:
        return ("\x00",)
