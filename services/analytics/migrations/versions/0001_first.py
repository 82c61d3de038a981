"""The log, the facts, and what every service has."""

from alembic import op

from crm_authz.schema import AUTHZ_1
from crm_events.schema import BUS_1, JOURNAL_1
from crm_web.idempotency import IDEMPOTENCY_1

revision = "0001"
down_revision = None

LOG = (
    """
    CREATE TABLE event_log (
      id uuid NOT NULL,
      position bigint NOT NULL,
      topic text NOT NULL,
      type text NOT NULL,
      subject uuid NOT NULL,
      version integer NOT NULL,
      time timestamptz NOT NULL,
      occurred_at timestamptz NOT NULL,
      actor_id uuid,
      source text NOT NULL,
      write_id uuid,
      partition integer NOT NULL,
      number bigint NOT NULL,
      stream text NOT NULL,
      data jsonb NOT NULL,
      CONSTRAINT pk_event_log PRIMARY KEY (id)
    ) PARTITION BY RANGE (id)
    """,
    "CREATE INDEX ix_event_log_actor_id_position ON event_log (actor_id, position) WHERE actor_id IS NOT NULL",
    "CREATE INDEX ix_event_log_position ON event_log (position)",
    "CREATE INDEX ix_event_log_subject_position ON event_log (subject, position)",
    "CREATE INDEX ix_event_log_time ON event_log USING brin (time) WITH (pages_per_range = 32)",
    "CREATE INDEX ix_event_log_type_position ON event_log (type, position)",
    # Events whose month has no partition of its own.
    "CREATE TABLE event_log_rest PARTITION OF event_log DEFAULT",
    """
    CREATE TABLE log_head (
      "only" boolean NOT NULL CONSTRAINT ck_log_head_one_row CHECK ("only"),
      position bigint NOT NULL,
      CONSTRAINT pk_log_head PRIMARY KEY ("only")
    )
    """,
    'INSERT INTO log_head ("only", position) VALUES (true, 0)',
    """
    CREATE TABLE progress (
      consumer text NOT NULL,
      topic text NOT NULL,
      partition integer NOT NULL,
      stream text NOT NULL,
      number bigint NOT NULL,
      time timestamptz NOT NULL,
      CONSTRAINT pk_progress PRIMARY KEY (consumer, topic, partition)
    )
    """,
)

FACTS = (
    """
    CREATE TABLE opportunity_fact (
      id uuid NOT NULL,
      version integer NOT NULL,
      owner_id uuid,
      customer_id uuid,
      pipeline_id uuid NOT NULL,
      stage_id uuid NOT NULL,
      outcome text NOT NULL,
      outcome_reason text,
      opened_on date NOT NULL,
      closed_on date,
      value_minor bigint,
      currency text,
      source text,
      deleted boolean NOT NULL,
      opened_version integer,
      opened_at timestamptz,
      opened_user_id uuid,
      opened_department_id uuid,
      opened_path uuid[],
      closed_version integer,
      closed_at timestamptz,
      closed_user_id uuid,
      closed_department_id uuid,
      closed_path uuid[],
      CONSTRAINT pk_opportunity_fact PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_opportunity_fact_closed_on ON opportunity_fact (closed_on)",
    "CREATE INDEX ix_opportunity_fact_opened_on ON opportunity_fact (opened_on)",
    "CREATE INDEX ix_opportunity_fact_owner_id ON opportunity_fact (owner_id)",
    """
    CREATE TABLE opportunity_product (
      opportunity_id uuid NOT NULL,
      product_id uuid NOT NULL,
      value_minor bigint,
      CONSTRAINT pk_opportunity_product PRIMARY KEY (opportunity_id, product_id)
    )
    """,
    """
    CREATE TABLE stage_entry (
      opportunity_id uuid NOT NULL,
      version integer NOT NULL,
      pipeline_id uuid NOT NULL,
      stage_id uuid NOT NULL,
      at timestamptz NOT NULL,
      from_stage_id uuid,
      regression boolean NOT NULL,
      user_id uuid,
      department_id uuid,
      path uuid[],
      CONSTRAINT pk_stage_entry PRIMARY KEY (opportunity_id, version)
    )
    """,
    "CREATE INDEX ix_stage_entry_at ON stage_entry (at)",
    """
    CREATE TABLE customer_fact (
      id uuid NOT NULL,
      version integer NOT NULL,
      owner_id uuid,
      lifecycle text NOT NULL,
      source text,
      industry text,
      pool_id uuid,
      deleted boolean NOT NULL,
      created_version integer,
      created_at timestamptz,
      created_user_id uuid,
      created_department_id uuid,
      created_path uuid[],
      dealt_version integer,
      dealt_at timestamptz,
      dealt_user_id uuid,
      dealt_department_id uuid,
      dealt_path uuid[],
      CONSTRAINT pk_customer_fact PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_customer_fact_created_at ON customer_fact (created_at)",
    "CREATE INDEX ix_customer_fact_dealt_at ON customer_fact (dealt_at)",
    "CREATE INDEX ix_customer_fact_owner_id ON customer_fact (owner_id)",
    """
    CREATE TABLE contact_fact (
      id uuid NOT NULL,
      version integer NOT NULL,
      owner_id uuid,
      customer_id uuid NOT NULL,
      deleted boolean NOT NULL,
      created_version integer,
      created_at timestamptz,
      created_user_id uuid,
      created_department_id uuid,
      created_path uuid[],
      CONSTRAINT pk_contact_fact PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_contact_fact_created_at ON contact_fact (created_at)",
    "CREATE INDEX ix_contact_fact_owner_id ON contact_fact (owner_id)",
    """
    CREATE TABLE product (
      id uuid NOT NULL,
      version integer NOT NULL,
      code text NOT NULL,
      name text NOT NULL,
      category text,
      deleted boolean NOT NULL,
      CONSTRAINT pk_product PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE pipeline (
      id uuid NOT NULL,
      version integer NOT NULL,
      name text NOT NULL,
      is_default boolean NOT NULL,
      deleted boolean NOT NULL,
      CONSTRAINT pk_pipeline PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE pipeline_stage (
      id uuid NOT NULL,
      version integer NOT NULL,
      pipeline_id uuid NOT NULL,
      name text NOT NULL,
      position integer NOT NULL,
      probability integer NOT NULL,
      retired boolean NOT NULL,
      CONSTRAINT pk_pipeline_stage PRIMARY KEY (id)
    )
    """,
)


def upgrade() -> None:
    for statement in (*JOURNAL_1, *BUS_1, *AUTHZ_1, *IDEMPOTENCY_1, *LOG, *FACTS):
        op.execute(statement)
