"""Migrations make just the tables that the models describe, on either database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade, upgrade
from sqlalchemy import Engine, inspect, text

from rest_api.app import MIGRATIONS, build_app
from rest_api.models import metadata
from rest_api.services.digests import row_hash, whole_number
from tests.conftest import settings_for


@pytest.fixture
def bare_app(tmp_path: Path, database_url: str) -> Iterator[Flask]:
    """An app on an empty database."""
    app, db, _ = build_app(settings_for(tmp_path, DATABASE_URL=database_url))
    with app.app_context():
        yield app
        db.engine.dispose()


def engine_of(app: Flask) -> Engine:
    engine: Engine = app.extensions["sqlalchemy"].engine
    return engine


def test_the_newest_migration_is_what_the_models_say(bare_app: Flask) -> None:
    upgrade(directory=str(MIGRATIONS))
    with engine_of(bare_app).connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)
    assert differences == []


def test_a_second_run_changes_nothing_and_all_can_be_taken_back(bare_app: Flask) -> None:
    upgrade(directory=str(MIGRATIONS))
    upgrade(directory=str(MIGRATIONS))
    downgrade(directory=str(MIGRATIONS), revision="base")
    assert inspect(engine_of(bare_app)).get_table_names() == ["alembic_version"]


def test_articles_that_were_synced_before_get_their_hashes(bare_app: Flask) -> None:
    upgrade(directory=str(MIGRATIONS), revision="0005")
    insert = text(
        "insert into articles (title, content, origin, external_id, external_version, version, created_at, updated_at) "
        "values ('Titre', 'é', 'a', :id, 7, 1, '2026-01-01', '2026-01-01')"
    )
    keys = ["12", "007", str(2**63)]
    with engine_of(bare_app).begin() as connection:
        connection.execute(insert, [{"id": key} for key in keys])
    upgrade(directory=str(MIGRATIONS))
    with engine_of(bare_app).connect() as connection:
        found = connection.execute(text("select external_id, external_number, row_hash from articles order by id"))
        assert [(key, number, hashed % 2**64) for key, number, hashed in found] == [
            (key, whole_number(key), row_hash(key, 7, "Titre", "é")) for key in keys
        ]
