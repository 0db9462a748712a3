"""events by the dataset that they are about

Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
OF_A_DATASET = sa.text("dataset IS NOT NULL")


def upgrade() -> None:
    op.add_column("events", sa.Column("dataset", sa.String(300)))
    op.add_column("events", sa.Column("identity", sa.String(400)))
    op.create_index(
        "ix_events_dataset_identity_sequence",
        "events",
        ["dataset", "identity", "sequence"],
        sqlite_where=OF_A_DATASET,
        postgresql_where=OF_A_DATASET,
    )


def downgrade() -> None:
    op.drop_index("ix_events_dataset_identity_sequence", "events")
    op.drop_column("events", "identity")
    op.drop_column("events", "dataset")
