"""Whether somebody may still export what he began to export."""

from sqlalchemy.orm import Session

from rest_api.errors import Forbidden
from rest_api.lake.grants import EXPORT
from rest_api.lake.views import view_of
from rest_api.services.datasets import Opened
from rest_api.services.rights import Reader, grants_of


def require_same_view(session: Session, reader: Reader, opened: Opened) -> None:
    """Raises Forbidden unless his grants of this moment give him the very view that he reads."""
    snapshot = opened.snapshot
    covering = [grant for grant in grants_of(session, reader) if grant.covers(snapshot.name, snapshot.identity)]
    view = view_of(snapshot, [grant for grant in covering if grant.gives(EXPORT)])
    if view is None or view.fingerprint != opened.view.fingerprint:
        raise Forbidden("Your rights have changed since the export began", code="policy_changed")
