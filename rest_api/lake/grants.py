"""Grants as values: who may do what with which dataset or folder, and which grant is wider than which."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rest_api.lake.names import is_quarantine, is_within, path_of

READ, WRITE, EXPORT, REPLAY, MANAGE = PRIVILEGES = ("read", "write", "export", "replay", "manage")
MASKS = ("year", "last4", "hash", "null")
"""From the weakest to the strongest; a value without a mask is weaker than all of them."""
_IMPLIED = {
    READ: (READ,),
    WRITE: (WRITE,),
    EXPORT: (EXPORT, READ),
    REPLAY: (REPLAY, READ),
    MANAGE: (MANAGE, READ, EXPORT, REPLAY),
}


@dataclass(frozen=True)
class Grant:
    """Privileges of a user or group on a dataset (by `identity`) or on a folder and all below it (by `path`).

    A grant with columns, filter or masks admits to a part; one of manage that has none of them implies write too.
    """

    id: int | None
    principal: str
    privileges: frozenset[str]
    dataset: str | None = None
    identity: str | None = None
    path: str | None = None
    columns: tuple[str, ...] | None = None
    filter: str | None = None
    masks: Mapping[str, str] = field(default_factory=dict)
    expires_at: datetime | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it admits to every row and column as it is."""
        return self.columns is None and self.filter is None and not self.masks

    def gives(self, privilege: str) -> bool:
        """Whether the privilege is given or implied."""
        if privilege == WRITE:
            return WRITE in self.privileges or (MANAGE in self.privileges and self.is_whole)
        return any(privilege in _IMPLIED[given] for given in self.privileges)

    def may_cover(self, name: str) -> bool:
        """Whether it can be about a dataset of this name; of a quarantine only by itself, or by manage."""
        if self.path is None:
            return self.dataset == name
        is_open = not is_quarantine(name) or MANAGE in self.privileges
        return is_open and is_within(path_of(name), self.path)

    def covers(self, name: str, identity: str) -> bool:
        """Whether it is about this very dataset: a grant on an earlier one of the name sleeps."""
        return self.may_cover(name) and (self.path is not None or self.identity == identity)


def strength(mask: str | None) -> int:
    """How much a mask hides: 0 for none of them."""
    return 0 if mask is None else 1 + MASKS.index(mask)
