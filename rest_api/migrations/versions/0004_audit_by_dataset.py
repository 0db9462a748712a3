"""audit entries of a dataset by number

Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
OF_A_DATASET = sa.text("dataset IS NOT NULL")


def upgrade() -> None:
    op.drop_index("ix_audit_records_dataset", "audit_records")
    op.create_index(
        "ix_audit_records_dataset_id",
        "audit_records",
        ["dataset", "id"],
        sqlite_where=OF_A_DATASET,
        postgresql_where=OF_A_DATASET,
    )


def downgrade() -> None:
    op.drop_index("ix_audit_records_dataset_id", "audit_records")
    op.create_index("ix_audit_records_dataset", "audit_records", ["dataset"])
