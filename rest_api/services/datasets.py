"""Opening a dataset for somebody: what he may see of it, decided before anything is read."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from rest_api.backends.catalog import Catalog
from rest_api.backends.footers import CorruptFile, corrupt_dataset
from rest_api.errors import Forbidden, Invalid, NotFound, nearest
from rest_api.lake.grants import MANAGE, PRIVILEGES, READ, Grant
from rest_api.lake.names import is_name
from rest_api.lake.snapshots import Snapshot
from rest_api.lake.views import View, view_of
from rest_api.services.rights import Reader, grants_of


@dataclass(frozen=True)
class Asked:
    """Which dataset, for what, and at which version: the newest where neither number nor time is given."""

    name: str
    privilege: str = READ
    version: int | None = None
    as_of: datetime | None = None

    def __post_init__(self) -> None:
        if self.version is not None and self.as_of is not None:
            raise Invalid("Give version or as_of, not both")


@dataclass(frozen=True)
class Opened:
    """A dataset as somebody may see it. `grants` are those of his that are about it."""

    snapshot: Snapshot
    view: View
    grants: tuple[Grant, ...]

    @property
    def privileges(self) -> list[str]:
        """What he may do with it."""
        return [each for each in PRIVILEGES if any(grant.gives(each) for grant in self.grants)]

    @property
    def may_manage(self) -> bool:
        """Whether he manages it."""
        return any(grant.gives(MANAGE) for grant in self.grants)


@dataclass(frozen=True)
class Datasets:
    """The datasets of a catalog, behind the rights that people have."""

    catalog: Catalog

    def open(self, session: Session, reader: Reader, asked: Asked) -> Opened:
        """A dataset for one purpose. Raises NotFound where he sees none of that name, Forbidden where he sees it.

        Whom no grant could admit is refused before the lake is touched.
        """
        grants = grants_of(session, reader)
        about = tuple(grant for grant in grants if grant.may_cover(asked.name))
        if not about or not is_name(asked.name):
            raise self.absent(asked.name, grants)
        with telling_of_corruption(about):
            snapshot = self._snapshot(asked)
        if snapshot is None:
            raise self.absent(asked.name, grants)
        return self._opened(snapshot, asked, grants)

    def visible(self, grants: Sequence[Grant]) -> list[str]:
        """The names of what grants could admit to, in order; some may turn out to be gone."""
        paths = [grant.path for grant in grants if grant.path is not None]
        named = {grant.dataset for grant in grants if grant.dataset is not None}
        found = {name for name in self.catalog.names(paths) if any(grant.may_cover(name) for grant in grants)}
        return sorted(named | found)

    def absent(self, name: str, grants: Sequence[Grant]) -> NotFound:
        """The same refusal for what is not there and for what is hidden, naming the nearest visible name."""
        near = nearest(name, self.visible(grants))
        hint = f"; did you mean {near!r}?" if near else ""
        return NotFound(f"There is no dataset {name[:100]!r}{hint}", did_you_mean=near)

    def _opened(self, snapshot: Snapshot, asked: Asked, grants: Sequence[Grant]) -> Opened:
        covering = tuple(grant for grant in grants if grant.covers(snapshot.name, snapshot.identity))
        visible = view_of(snapshot, [grant for grant in covering if grant.gives(READ)])
        if not covering or (visible is None and not _writes(covering)):
            raise self.absent(asked.name, grants)
        giving = [grant for grant in covering if grant.gives(asked.privilege)]
        view = view_of(snapshot, giving)
        if view is None:
            raise Forbidden(f"This call needs the privilege {asked.privilege} on the dataset")
        return Opened(snapshot, view, covering)

    def _snapshot(self, asked: Asked) -> Snapshot | None:
        version = asked.version
        if asked.as_of is not None:
            version = self._version_at(asked.name, asked.as_of)
        return self.catalog.snapshot(asked.name, version)

    def _version_at(self, name: str, at: datetime) -> int | None:
        newest = self.catalog.snapshot(name)
        if newest is None:
            return None
        return self.catalog.version_at(newest, at)


def _writes(covering: Sequence[Grant]) -> bool:
    return any(not grant.gives(READ) for grant in covering)


@contextmanager
def telling_of_corruption(grants: Sequence[Grant]) -> Iterator[None]:
    """Tells who manages a dataset which file of it is corrupt, and everybody else only that one is."""
    try:
        yield
    except CorruptFile as error:
        is_manager = any(grant.gives(MANAGE) for grant in grants)
        raise (error.refusal() if is_manager else corrupt_dataset()) from error
