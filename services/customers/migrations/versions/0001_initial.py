"""Everything that the customers service starts with: the libraries' tables, its own, and the first public pool."""

from alembic import op

from crm_authz import AUTHZ_1
from crm_events.schema import BUS_1, JOURNAL_1
from crm_records import TEXT_1
from crm_web.idempotency import IDEMPOTENCY_1

revision = "0001"
down_revision = None

CUSTOMERS_1: tuple[str, ...] = (
    "CREATE SEQUENCE customer_number",
    """
    CREATE TABLE customer (
      id UUID NOT NULL,
      version INTEGER NOT NULL,
      number TEXT,
      name TEXT NOT NULL,
      lifecycle TEXT NOT NULL,
      kind TEXT NOT NULL,
      grade TEXT,
      "group" TEXT,
      phone TEXT,
      fax TEXT,
      email TEXT,
      website TEXT,
      address TEXT,
      country TEXT,
      industry TEXT,
      source TEXT,
      parent_id UUID,
      tax_id TEXT,
      employees INTEGER,
      founded_year INTEGER,
      annual_revenue_currency TEXT,
      annual_revenue_minor BIGINT,
      description TEXT,
      locked BOOLEAN NOT NULL,
      dealt_at TIMESTAMP WITH TIME ZONE,
      pool_id UUID,
      pooled_at TIMESTAMP WITH TIME ZONE,
      owner_id UUID,
      external_system TEXT,
      external_id TEXT,
      custom JSONB DEFAULT '{}'::jsonb NOT NULL,
      created_at TIMESTAMP WITH TIME ZONE NOT NULL,
      updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
      created_by UUID,
      deleted_at TIMESTAMP WITH TIME ZONE,
      search_text TEXT GENERATED ALWAYS AS (crm_fold(
        coalesce(name, '') || chr(10) || coalesce(phone, '') || chr(10) || coalesce(email, ''))) STORED,
      previous_owner_id UUID,
      last_pool_id UUID,
      CONSTRAINT pk_customer PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_customer_deleted ON customer (deleted_at) WHERE deleted_at IS NOT NULL",
    "CREATE INDEX ix_customer_grams ON customer USING gin (crm_pairs(search_text, true))",
    "CREATE INDEX ix_customer_name ON customer (crm_sort_key(name), id) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_customer_newest ON customer (updated_at DESC, id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_customer_owner_newest ON customer (owner_id, updated_at DESC, id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_customer_parent_id ON customer (parent_id) WHERE parent_id IS NOT NULL",
    "CREATE INDEX ix_customer_pool ON customer (pool_id, pooled_at, id) WHERE pool_id IS NOT NULL",
    "CREATE UNIQUE INDEX uq_customer_external ON customer (external_system, external_id) WHERE external_id IS NOT NULL",
    "CREATE UNIQUE INDEX uq_customer_number ON customer (number) WHERE number IS NOT NULL",
    "CREATE SEQUENCE contact_number",
    """
    CREATE TABLE contact (
      id UUID NOT NULL,
      version INTEGER NOT NULL,
      number TEXT,
      customer_id UUID NOT NULL,
      name TEXT NOT NULL,
      job_title TEXT,
      decision_role TEXT,
      phone TEXT,
      mobile TEXT,
      email TEXT,
      messenger TEXT,
      birthday DATE,
      is_primary BOOLEAN NOT NULL,
      do_not_call BOOLEAN NOT NULL,
      do_not_email BOOLEAN NOT NULL,
      description TEXT,
      owner_id UUID,
      external_system TEXT,
      external_id TEXT,
      custom JSONB DEFAULT '{}'::jsonb NOT NULL,
      created_at TIMESTAMP WITH TIME ZONE NOT NULL,
      updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
      created_by UUID,
      deleted_at TIMESTAMP WITH TIME ZONE,
      search_text TEXT GENERATED ALWAYS AS (crm_fold(
        coalesce(name, '') || chr(10) || coalesce(phone, '') || chr(10) || coalesce(mobile, '')
        || chr(10) || coalesce(email, ''))) STORED,
      follows_customer BOOLEAN DEFAULT true NOT NULL,
      CONSTRAINT pk_contact PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_contact_customer_id ON contact (customer_id, id)",
    "CREATE INDEX ix_contact_deleted ON contact (deleted_at) WHERE deleted_at IS NOT NULL",
    "CREATE INDEX ix_contact_grams ON contact USING gin (crm_pairs(search_text, true))",
    "CREATE INDEX ix_contact_name ON contact (crm_sort_key(name), id) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_contact_newest ON contact (updated_at DESC, id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_contact_owner_newest ON contact (owner_id, updated_at DESC, id DESC) WHERE deleted_at IS NULL",
    "CREATE UNIQUE INDEX uq_contact_external ON contact (external_system, external_id) WHERE external_id IS NOT NULL",
    "CREATE UNIQUE INDEX uq_contact_number ON contact (number) WHERE number IS NOT NULL",
    """
    CREATE TABLE pool (
      id uuid NOT NULL,
      version integer NOT NULL,
      name text NOT NULL,
      administrator_ids uuid[] NOT NULL,
      member_user_ids uuid[] NOT NULL,
      member_department_ids uuid[] NOT NULL,
      open_to_all boolean NOT NULL,
      daily_claim_cap integer,
      cooldown_days integer NOT NULL,
      hold_hours integer NOT NULL,
      is_default boolean NOT NULL,
      created_at timestamptz NOT NULL,
      CONSTRAINT pk_pool PRIMARY KEY (id)
    )
    """,
    "CREATE UNIQUE INDEX uq_pool_is_default ON pool (is_default) WHERE is_default",
    # The history of a pool, and the day's claims, are read from the journal by this index (crm_customers.pool.store).
    """
    CREATE INDEX ix_journal_pool ON journal (CAST((data ->> 'pool_id') AS uuid), event_id)
    WHERE type IN ('crm.customers.customer.claimed.v1', 'crm.customers.customer.assigned.v1',
                   'crm.customers.customer.released.v1')
    """,
)

#: The pool that every company has from the start (CU-40): open to all who may claim, without limits. Told like any other fact.
FIRST_POOL = """
WITH made AS (
  INSERT INTO pool (id, version, name, administrator_ids, member_user_ids, member_department_ids, open_to_all,
                    daily_claim_cap, cooldown_days, hold_hours, is_default, created_at)
  VALUES (uuidv7(), 1, 'Public pool', '{}', '{}', '{}', true, NULL, 0, 0, true, now())
  RETURNING id, name
), told AS (
  INSERT INTO journal (event_id, topic, type, subject, version, time, occurred_at, write_id, data)
  SELECT uuidv7(), 'crm.customers.pool', 'crm.customers.pool.created.v1', id, 1, now(), now(), uuidv7(),
         jsonb_build_object(
           'version', 1, 'occurred_at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           'actor', jsonb_build_object('kind', 'system', 'id', NULL),
           'origin', jsonb_build_object('channel', 'system', 'address', NULL),
           'changes', jsonb_build_object(),
           'state', jsonb_build_object(
             'name', name, 'administrator_ids', jsonb_build_array(), 'member_user_ids', jsonb_build_array(),
             'member_department_ids', jsonb_build_array(), 'open_to_all', true, 'daily_claim_cap', NULL,
             'cooldown_days', 0, 'hold_hours', 0, 'deleted', false),
           'access', NULL, 'credit', NULL)
  FROM made
  RETURNING event_id, topic, subject
)
INSERT INTO outbox (event_id, topic, subject) SELECT event_id, topic, subject FROM told
"""


def upgrade() -> None:
    for statement in (*JOURNAL_1, *BUS_1, *AUTHZ_1, *IDEMPOTENCY_1, *TEXT_1, *CUSTOMERS_1, FIRST_POOL):
        op.execute(statement)
