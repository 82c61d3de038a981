"""Whose each record is, for the feed, and webhooks. What the log told before is taken in by the worker (crm_analytics.access)."""

from alembic import op

revision = "0005"
down_revision = "0004"

ACCESS = (
    """
    CREATE TABLE record_access (
      record_id uuid NOT NULL,
      topic text NOT NULL,
      version integer NOT NULL,
      owner_id uuid,
      members jsonb NOT NULL,
      CONSTRAINT pk_record_access PRIMARY KEY (record_id, topic)
    )
    """,
    """
    CREATE TABLE access_head (
      "only" boolean NOT NULL CONSTRAINT ck_access_head_one_row CHECK ("only"),
      position bigint NOT NULL,
      CONSTRAINT pk_access_head PRIMARY KEY ("only")
    )
    """,
    # Behind everything that the log has: older programs don't note it, and may go on for a while.
    'INSERT INTO access_head ("only", position) VALUES (true, 0)',
)

WEBHOOKS = (
    """
    CREATE TABLE webhook (
      id uuid NOT NULL,
      version integer NOT NULL,
      owner_id uuid NOT NULL,
      url text NOT NULL,
      types text[] NOT NULL,
      description text,
      status text NOT NULL,
      reason text,
      status_since timestamptz NOT NULL,
      secret bytea NOT NULL,
      secret_since timestamptz NOT NULL,
      previous_secret bytea,
      previous_until timestamptz,
      created_at timestamptz NOT NULL,
      updated_at timestamptz NOT NULL,
      deleted_at timestamptz,
      CONSTRAINT pk_webhook PRIMARY KEY (id),
      CONSTRAINT ck_webhook_status CHECK (status IN ('active', 'paused', 'disabled')),
      CONSTRAINT ck_webhook_reason CHECK ((status = 'disabled') = (reason IS NOT NULL))
    )
    """,
    "CREATE INDEX ix_webhook_owner_id ON webhook (owner_id, id) WHERE deleted_at IS NULL",
    """
    CREATE TABLE webhook_work (
      webhook_id uuid NOT NULL,
      position bigint NOT NULL,
      since timestamptz NOT NULL,
      due_at timestamptz,
      is_full boolean NOT NULL,
      rest_until timestamptz,
      failed_rounds integer NOT NULL,
      replay integer NOT NULL,
      replay_until bigint NOT NULL,
      leased_by uuid,
      lease_until timestamptz,
      turn_at timestamptz,
      CONSTRAINT pk_webhook_work PRIMARY KEY (webhook_id),
      CONSTRAINT fk_webhook_work_webhook_id FOREIGN KEY (webhook_id) REFERENCES webhook (id),
      CONSTRAINT ck_webhook_work_leased CHECK (num_nulls(leased_by, lease_until) IN (0, 2))
    )
    """,
    """
    CREATE TABLE webhook_delivery (
      webhook_id uuid NOT NULL,
      event_id uuid NOT NULL,
      seq bigint NOT NULL,
      subject uuid NOT NULL,
      type text NOT NULL,
      state text NOT NULL,
      replay integer NOT NULL,
      attempts integer NOT NULL,
      failures integer NOT NULL,
      taken_at timestamptz NOT NULL,
      first_attempt_at timestamptz,
      next_attempt_at timestamptz,
      settled_at timestamptz,
      CONSTRAINT pk_webhook_delivery PRIMARY KEY (webhook_id, event_id),
      CONSTRAINT fk_webhook_delivery_webhook_id FOREIGN KEY (webhook_id) REFERENCES webhook (id),
      CONSTRAINT ck_webhook_delivery_state CHECK (state IN ('pending', 'delivered', 'withheld')),
      CONSTRAINT ck_webhook_delivery_settled CHECK ((state = 'pending') = (settled_at IS NULL)),
      CONSTRAINT ck_webhook_delivery_next_attempt CHECK ((state = 'pending') = (next_attempt_at IS NOT NULL))
    )
    """,
    "CREATE INDEX ix_webhook_delivery_pending ON webhook_delivery (webhook_id, subject, seq) WHERE state = 'pending'",
    "CREATE INDEX ix_webhook_delivery_seq ON webhook_delivery (webhook_id, seq, event_id)",
    "CREATE INDEX ix_webhook_delivery_settled_at ON webhook_delivery (settled_at) WHERE settled_at IS NOT NULL",
    """
    CREATE TABLE webhook_attempt (
      webhook_id uuid NOT NULL,
      event_id uuid NOT NULL,
      number integer NOT NULL,
      at timestamptz NOT NULL,
      seconds double precision NOT NULL,
      status integer,
      answer text,
      error text,
      CONSTRAINT pk_webhook_attempt PRIMARY KEY (webhook_id, event_id, number),
      CONSTRAINT fk_webhook_attempt_webhook_id FOREIGN KEY (webhook_id, event_id)
        REFERENCES webhook_delivery (webhook_id, event_id) ON DELETE CASCADE
    )
    """,
)


def upgrade() -> None:
    for statement in (*ACCESS, *WEBHOOKS):
        op.execute(statement)
