"""changes of Delta tables

Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dataset_changes",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("dataset", sa.String(length=300), nullable=False),
        sa.Column("identity", sa.String(length=400), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.Column("rows", sa.BigInteger(), nullable=True),
        sa.Column("call", sa.String(length=64), nullable=True),
        sa.Column("call_sha256", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("state in ('begun', 'done', 'undone')", name=op.f("ck_dataset_changes_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset_changes")),
        sa.UniqueConstraint("call", name=op.f("uq_dataset_changes_call")),
    )
    with op.batch_alter_table("dataset_changes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_dataset_changes_created_at"), ["created_at"], unique=False)
        batch_op.create_index(batch_op.f("ix_dataset_changes_dataset"), ["dataset"], unique=False)
        batch_op.create_index(batch_op.f("ix_dataset_changes_state"), ["state"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("dataset_changes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_dataset_changes_state"))
        batch_op.drop_index(batch_op.f("ix_dataset_changes_dataset"))
        batch_op.drop_index(batch_op.f("ix_dataset_changes_created_at"))
    op.drop_table("dataset_changes")
