"""How Alembic runs our migrations: on the engine of the running app, in one transaction."""

from typing import Any, Literal

from alembic import context
from flask import current_app

from rest_api.models.base import UtcDateTime

database = current_app.extensions["migrate"].db


def written(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Migrations name plain types only, so that they outlive our classes."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def run() -> None:
    """Apply or compare migrations on a connection."""
    with database.engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=database.metadata,
            render_item=written,
            **current_app.extensions["migrate"].configure_args,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()


run()
