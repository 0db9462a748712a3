"""messages of the pipeline, and replays

Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
UNSENT = sa.text("sent_at IS NULL")
VERDICTS = ("matched", "pending", "missing", "diverged", "dead_lettered")


def upgrade() -> None:
    _create_messages()
    _create_replays()
    _create_events()


def downgrade() -> None:
    op.drop_table("replay_events")
    op.drop_table("replays")
    op.drop_table("pipeline_messages")


def _create_messages() -> None:
    op.create_table(
        "pipeline_messages",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("topic", sa.String(249), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_pipeline_messages")),
        sa.UniqueConstraint("id", name=op.f("uq_pipeline_messages_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_pipeline_messages_unsent",
        "pipeline_messages",
        ["sequence"],
        sqlite_where=UNSENT,
        postgresql_where=UNSENT,
    )
    op.create_index("ix_pipeline_messages_sent_at", "pipeline_messages", ["sent_at"])


def _create_replays() -> None:
    op.create_table(
        "replays",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("owner_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("dataset", sa.String(300), nullable=False),
        sa.Column("identity", sa.String(400), nullable=False),
        sa.Column("transaction_id", sa.Text()),
        sa.Column("where", sa.JSON(none_as_null=True)),
        sa.Column("corrections", sa.JSON(none_as_null=True)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("call", sa.String(64)),
        sa.Column("settled_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name=op.f("fk_replays_owner_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replays")),
        sa.UniqueConstraint("call", name=op.f("uq_replays_call")),
    )
    op.create_index("ix_replays_owner_id_created_at", "replays", ["owner_id", "created_at"])
    op.create_index("ix_replays_settled_at", "replays", ["settled_at"])


def _create_events() -> None:
    op.create_table(
        "replay_events",
        sa.Column("replay_id", sa.String(36), nullable=False),
        sa.Column("transaction_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.String(32), nullable=False),
        sa.Column("hash", sa.String(32)),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("version", sa.BigInteger()),
        sa.CheckConstraint(f"verdict in {VERDICTS}", name=op.f("ck_replay_events_verdict")),
        sa.ForeignKeyConstraint(["replay_id"], ["replays.id"], name=op.f("fk_replay_events_replay_id_replays")),
        sa.PrimaryKeyConstraint("replay_id", "transaction_id", name=op.f("pk_replay_events")),
        sa.UniqueConstraint("event_id", name=op.f("uq_replay_events_event_id")),
    )
    op.create_index(
        "ix_replay_events_replay_id_verdict_transaction_id",
        "replay_events",
        ["replay_id", "verdict", "transaction_id"],
    )
