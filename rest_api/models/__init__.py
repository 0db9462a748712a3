"""Tables of the database, one noun a file; importing the package knows them all."""

from rest_api.models import (  # noqa: F401  (a table is known once its module is imported)
    article,
    audit,
    change,
    dataset,
    event,
    grant,
    group,
    idempotency,
    job,
    pipeline_message,
    relay,
    replay,
    token,
    user,
)
from rest_api.models.base import Base

metadata = Base.metadata
