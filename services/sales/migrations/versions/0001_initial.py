"""Everything that the sales service starts with: the libraries' tables, its own, and the first pipeline."""

from alembic import op

from crm_authz import AUTHZ_1
from crm_events.schema import BUS_1, JOURNAL_1
from crm_records import TEXT_1
from crm_web.idempotency import IDEMPOTENCY_1

revision = "0001"
down_revision = None

SALES_1: tuple[str, ...] = (
    "CREATE SEQUENCE product_number",
    """
    CREATE TABLE product (
      id UUID NOT NULL,
      version INTEGER NOT NULL,
      number TEXT,
      code TEXT NOT NULL,
      name TEXT NOT NULL,
      category TEXT,
      unit TEXT,
      description TEXT,
      list_price_currency TEXT,
      list_price_minor BIGINT,
      on_sale BOOLEAN NOT NULL,
      owner_id UUID,
      external_system TEXT,
      external_id TEXT,
      custom JSONB DEFAULT '{}'::jsonb NOT NULL,
      created_at TIMESTAMP WITH TIME ZONE NOT NULL,
      updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
      created_by UUID,
      deleted_at TIMESTAMP WITH TIME ZONE,
      search_text TEXT GENERATED ALWAYS AS (crm_fold(coalesce(code, '') || chr(10) || coalesce(name, ''))) STORED,
      CONSTRAINT pk_product PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_product_code ON product (crm_sort_key(code), id) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_product_deleted ON product (deleted_at) WHERE deleted_at IS NOT NULL",
    "CREATE INDEX ix_product_grams ON product USING gin (crm_pairs(search_text, true))",
    "CREATE INDEX ix_product_name ON product (crm_sort_key(name), id) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_product_newest ON product (updated_at DESC, id DESC) WHERE deleted_at IS NULL",
    "CREATE UNIQUE INDEX uq_product_code ON product (lower(code)) WHERE deleted_at IS NULL",
    "CREATE UNIQUE INDEX uq_product_external ON product (external_system, external_id) WHERE external_id IS NOT NULL",
    "CREATE UNIQUE INDEX uq_product_number ON product (number) WHERE number IS NOT NULL",
    """
    CREATE TABLE pipeline (
      id UUID NOT NULL,
      version INTEGER NOT NULL,
      name TEXT NOT NULL,
      is_default BOOLEAN NOT NULL,
      created_at TIMESTAMP WITH TIME ZONE NOT NULL,
      CONSTRAINT pk_pipeline PRIMARY KEY (id)
    )
    """,
    "CREATE UNIQUE INDEX uq_pipeline_is_default ON pipeline (is_default) WHERE is_default",
    "CREATE UNIQUE INDEX uq_pipeline_name ON pipeline (lower(name))",
    """
    CREATE TABLE pipeline_stage (
      id UUID NOT NULL,
      pipeline_id UUID NOT NULL,
      position INTEGER NOT NULL,
      name TEXT NOT NULL,
      probability INTEGER NOT NULL,
      allowed UUID[],
      required_fields TEXT[] NOT NULL,
      dwell_days INTEGER,
      retired BOOLEAN NOT NULL,
      CONSTRAINT pk_pipeline_stage PRIMARY KEY (id),
      CONSTRAINT fk_pipeline_stage_pipeline_id FOREIGN KEY(pipeline_id) REFERENCES pipeline (id)
    )
    """,
    "CREATE INDEX ix_pipeline_stage_pipeline_id ON pipeline_stage (pipeline_id, position)",
    "CREATE SEQUENCE opportunity_number",
    """
    CREATE TABLE opportunity (
      id UUID NOT NULL,
      version INTEGER NOT NULL,
      number TEXT,
      name TEXT NOT NULL,
      customer_id UUID,
      contact_ids UUID[] NOT NULL,
      pipeline_id UUID,
      stage_id UUID,
      stage_entered_at TIMESTAMP WITH TIME ZONE,
      outcome TEXT NOT NULL,
      outcome_reason TEXT,
      opened_on DATE,
      closed_on DATE,
      deadline DATE,
      probability INTEGER,
      probability_override INTEGER,
      value_currency TEXT,
      value_minor BIGINT,
      weighted_value_currency TEXT,
      weighted_value_minor BIGINT,
      product_ids UUID[] NOT NULL,
      next_step TEXT,
      source TEXT,
      description TEXT,
      owner_id UUID,
      external_system TEXT,
      external_id TEXT,
      custom JSONB DEFAULT '{}'::jsonb NOT NULL,
      created_at TIMESTAMP WITH TIME ZONE NOT NULL,
      updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
      created_by UUID,
      deleted_at TIMESTAMP WITH TIME ZONE,
      search_text TEXT GENERATED ALWAYS AS (crm_fold(coalesce(name, ''))) STORED,
      CONSTRAINT pk_opportunity PRIMARY KEY (id),
      CONSTRAINT ck_opportunity_placed CHECK (pipeline_id IS NOT NULL AND stage_id IS NOT NULL AND stage_entered_at IS NOT NULL
            AND opened_on IS NOT NULL AND probability IS NOT NULL)
    )
    """,
    "CREATE INDEX ix_opportunity_customer_id ON opportunity (customer_id, id) WHERE customer_id IS NOT NULL",
    "CREATE INDEX ix_opportunity_deleted ON opportunity (deleted_at) WHERE deleted_at IS NOT NULL",
    "CREATE INDEX ix_opportunity_grams ON opportunity USING gin (crm_pairs(search_text, true))",
    "CREATE INDEX ix_opportunity_name ON opportunity (crm_sort_key(name), id) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_opportunity_newest ON opportunity (updated_at DESC, id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_opportunity_owner_newest ON opportunity (owner_id, updated_at DESC, id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_opportunity_stage_id ON opportunity (stage_id)",
    "CREATE UNIQUE INDEX uq_opportunity_external ON opportunity (external_system, external_id) WHERE external_id IS NOT NULL",
    "CREATE UNIQUE INDEX uq_opportunity_number ON opportunity (number) WHERE number IS NOT NULL",
    """
    CREATE TABLE opportunity_line (
      id UUID NOT NULL,
      opportunity_id UUID NOT NULL,
      position INTEGER NOT NULL,
      product_id UUID NOT NULL,
      quantity NUMERIC(20, 6) NOT NULL,
      list_price_currency TEXT NOT NULL,
      list_price_minor BIGINT NOT NULL,
      unit_price_currency TEXT NOT NULL,
      unit_price_minor BIGINT NOT NULL,
      discount NUMERIC(9, 6) NOT NULL,
      tax NUMERIC(9, 6) NOT NULL,
      CONSTRAINT pk_opportunity_line PRIMARY KEY (id),
      CONSTRAINT fk_opportunity_line_opportunity_id FOREIGN KEY(opportunity_id) REFERENCES opportunity (id)
    )
    """,
    "CREATE INDEX ix_opportunity_line_opportunity_id ON opportunity_line (opportunity_id, position)",
    """
    CREATE TABLE customer_replica (
      id UUID NOT NULL,
      version INTEGER NOT NULL,
      number TEXT NOT NULL,
      name TEXT NOT NULL,
      lifecycle TEXT NOT NULL,
      owner_id UUID,
      deleted BOOLEAN NOT NULL,
      CONSTRAINT pk_customer_replica PRIMARY KEY (id)
    )
    """,
)

#: The pipeline that every company has from the start (SA-1), told like any other fact.
FIRST_PIPELINE = """
WITH made AS (
  INSERT INTO pipeline (id, version, name, is_default, created_at) VALUES (uuidv7(), 1, 'Sales', true, now())
  RETURNING id, name
), staged AS (
  INSERT INTO pipeline_stage (id, pipeline_id, position, name, probability, allowed, required_fields, dwell_days, retired)
  SELECT uuidv7(), made.id, g.position, g.name, g.probability, NULL, '{}', g.dwell_days, false
  FROM made, (VALUES (1, 'Prospecting', 10, 14), (2, 'Engaging', 40, 60), (3, 'Proposal', 60, 30),
                     (4, 'Negotiation', 80, 30)) AS g(position, name, probability, dwell_days)
  RETURNING *
), told AS (
  INSERT INTO journal (event_id, topic, type, subject, version, time, occurred_at, write_id, data)
  SELECT uuidv7(), 'crm.sales.pipeline', 'crm.sales.pipeline.created.v1', id, 1, now(), now(), uuidv7(),
         jsonb_build_object(
           'version', 1, 'occurred_at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           'actor', jsonb_build_object('kind', 'system', 'id', NULL),
           'origin', jsonb_build_object('channel', 'system', 'address', NULL),
           'changes', jsonb_build_object(),
           'state', jsonb_build_object(
             'name', name, 'is_default', true, 'deleted', false,
             'stages', (SELECT jsonb_agg(jsonb_build_object(
               'id', s.id, 'name', s.name, 'probability', s.probability, 'position', s.position, 'allowed', NULL,
               'required_fields', jsonb_build_array(), 'dwell_days', s.dwell_days, 'retired', s.retired)
               ORDER BY s.position) FROM staged s)),
           'access', NULL, 'credit', NULL)
  FROM made
  RETURNING event_id, topic, subject
)
INSERT INTO outbox (event_id, topic, subject) SELECT event_id, topic, subject FROM told
"""


def upgrade() -> None:
    for statement in (*JOURNAL_1, *BUS_1, *AUTHZ_1, *IDEMPOTENCY_1, *TEXT_1, *SALES_1, FIRST_PIPELINE):
        op.execute(statement)
