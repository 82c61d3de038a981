"""Everything that the support service starts with: the libraries' tables, its own, and the first queue."""

from alembic import op

from crm_authz import AUTHZ_1
from crm_events.schema import BUS_1, JOURNAL_1
from crm_records import TEXT_1
from crm_records.replica import replica_ddl_1
from crm_web.idempotency import IDEMPOTENCY_1

revision = "0001"
down_revision = None

SUPPORT_1: tuple[str, ...] = (
    """
    CREATE TABLE queue (
      id UUID NOT NULL,
      version INTEGER NOT NULL,
      key TEXT NOT NULL,
      name TEXT NOT NULL,
      member_user_ids UUID[] NOT NULL,
      member_department_ids UUID[] NOT NULL,
      open_to_all BOOLEAN NOT NULL,
      created_at TIMESTAMP WITH TIME ZONE NOT NULL,
      CONSTRAINT pk_queue PRIMARY KEY (id)
    )
    """,
    "CREATE UNIQUE INDEX uq_queue_key ON queue (key)",
    "CREATE SEQUENCE ticket_number",
    """
    CREATE TABLE ticket (
      id UUID NOT NULL,
      version INTEGER NOT NULL,
      number TEXT,
      subject TEXT NOT NULL,
      description TEXT,
      channel TEXT NOT NULL,
      customer_id UUID,
      contact_id UUID,
      stranger_name TEXT,
      stranger_email TEXT,
      stranger_phone TEXT,
      category TEXT,
      priority TEXT NOT NULL,
      status TEXT NOT NULL,
      queue TEXT NOT NULL,
      taken_from TEXT,
      tags TEXT,
      first_response_at TIMESTAMP WITH TIME ZONE,
      solved_at TIMESTAMP WITH TIME ZONE,
      owner_id UUID,
      external_system TEXT,
      external_id TEXT,
      custom JSONB DEFAULT '{}'::jsonb NOT NULL,
      created_at TIMESTAMP WITH TIME ZONE NOT NULL,
      updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
      created_by UUID,
      deleted_at TIMESTAMP WITH TIME ZONE,
      search_text TEXT GENERATED ALWAYS AS
        (crm_fold(coalesce(subject, '') || chr(10) || coalesce(stranger_email, ''))) STORED,
      CONSTRAINT pk_ticket PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_ticket_age ON ticket (created_at, id) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_ticket_contact_id ON ticket (contact_id, id) WHERE contact_id IS NOT NULL",
    "CREATE INDEX ix_ticket_customer_id ON ticket (customer_id, id) WHERE customer_id IS NOT NULL",
    "CREATE INDEX ix_ticket_deleted ON ticket (deleted_at) WHERE deleted_at IS NOT NULL",
    "CREATE INDEX ix_ticket_grams ON ticket USING gin (crm_pairs(search_text, true))",
    "CREATE INDEX ix_ticket_newest ON ticket (updated_at DESC, id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_ticket_owner_age ON ticket (owner_id, created_at, id) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_ticket_owner_newest ON ticket (owner_id, updated_at DESC, id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_ticket_subject ON ticket (crm_sort_key(subject), id) WHERE deleted_at IS NULL",
    """
    CREATE INDEX ix_ticket_waiting ON ticket (queue, created_at, id)
    WHERE owner_id IS NULL AND deleted_at IS NULL AND status IN ('new', 'open', 'pending', 'on_hold')
    """,
    "CREATE UNIQUE INDEX uq_ticket_external ON ticket (external_system, external_id) WHERE external_id IS NOT NULL",
    "CREATE UNIQUE INDEX uq_ticket_number ON ticket (number) WHERE number IS NOT NULL",
    """
    CREATE TABLE reply (
      id UUID NOT NULL,
      ticket_id UUID NOT NULL,
      position INTEGER NOT NULL,
      author TEXT NOT NULL,
      author_id UUID,
      visibility TEXT NOT NULL,
      text TEXT NOT NULL,
      created_at TIMESTAMP WITH TIME ZONE NOT NULL,
      CONSTRAINT pk_reply PRIMARY KEY (id),
      CONSTRAINT fk_reply_ticket_id FOREIGN KEY(ticket_id) REFERENCES ticket (id)
    )
    """,
    "CREATE UNIQUE INDEX uq_reply_position ON reply (ticket_id, position)",
    *replica_ddl_1("customer_replica", {"number": "TEXT NOT NULL", "name": "TEXT NOT NULL"}),
    *replica_ddl_1(
        "contact_replica",
        {"customer_id": "UUID NOT NULL", "name": "TEXT NOT NULL", "email": "TEXT", "phone": "TEXT"},
    ),
)

#: The queue that every company has from the start: open to all who may see queues. Told like any other fact.
FIRST_QUEUE = """
WITH made AS (
  INSERT INTO queue (id, version, key, name, member_user_ids, member_department_ids, open_to_all, created_at)
  VALUES (uuidv7(), 1, 'general', 'General', '{}', '{}', true, now())
  RETURNING id, key, name
), told AS (
  INSERT INTO journal (event_id, topic, type, subject, version, time, occurred_at, write_id, data)
  SELECT uuidv7(), 'crm.support.queue', 'crm.support.queue.created.v1', id, 1, now(), now(), uuidv7(),
         jsonb_build_object(
           'version', 1, 'occurred_at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
           'actor', jsonb_build_object('kind', 'system', 'id', NULL),
           'origin', jsonb_build_object('channel', 'system', 'address', NULL),
           'changes', jsonb_build_object(),
           'state', jsonb_build_object(
             'key', key, 'name', name, 'member_user_ids', jsonb_build_array(),
             'member_department_ids', jsonb_build_array(), 'open_to_all', true, 'deleted', false),
           'access', NULL, 'credit', NULL)
  FROM made
  RETURNING event_id, topic, subject
)
INSERT INTO outbox (event_id, topic, subject) SELECT event_id, topic, subject FROM told
"""


def upgrade() -> None:
    for statement in (*JOURNAL_1, *BUS_1, *AUTHZ_1, *IDEMPOTENCY_1, *TEXT_1, *SUPPORT_1, FIRST_QUEUE):
        op.execute(statement)
