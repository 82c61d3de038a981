"""Activities, and the replica of contacts that they can be about (SA-30)."""

from alembic import op

from crm_records.replica import replica_ddl_1

revision = "0002"
down_revision = "0001"

ACTIVITY_1: tuple[str, ...] = (
    "CREATE SEQUENCE activity_number",
    """
    CREATE TABLE activity (
      id UUID NOT NULL,
      version INTEGER NOT NULL,
      number TEXT,
      kind TEXT NOT NULL,
      subject TEXT NOT NULL,
      text TEXT,
      happened_at TIMESTAMP WITH TIME ZONE NOT NULL,
      duration_minutes INTEGER,
      direction TEXT NOT NULL,
      outcome TEXT,
      links_ids UUID[] NOT NULL,
      links_types TEXT[] NOT NULL,
      customer_id UUID,
      participants UUID[] NOT NULL,
      next_contact_at TIMESTAMP WITH TIME ZONE,
      next_contact_note TEXT,
      owner_id UUID,
      external_system TEXT,
      external_id TEXT,
      custom JSONB DEFAULT '{}'::jsonb NOT NULL,
      created_at TIMESTAMP WITH TIME ZONE NOT NULL,
      updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
      created_by UUID,
      deleted_at TIMESTAMP WITH TIME ZONE,
      search_text TEXT GENERATED ALWAYS AS (crm_fold(coalesce(subject, ''))) STORED,
      CONSTRAINT pk_activity PRIMARY KEY (id),
      CONSTRAINT ck_activity_linked CHECK (cardinality(links_ids) BETWEEN 1 AND 5
            AND cardinality(links_ids) = cardinality(links_types))
    )
    """,
    "CREATE INDEX ix_activity_customer_id ON activity (customer_id, id) WHERE customer_id IS NOT NULL",
    "CREATE INDEX ix_activity_deleted ON activity (deleted_at) WHERE deleted_at IS NOT NULL",
    "CREATE INDEX ix_activity_grams ON activity USING gin (crm_pairs(search_text, true))",
    "CREATE INDEX ix_activity_happened_at ON activity (happened_at, id) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_activity_links ON activity USING gin (links_ids)",
    "CREATE INDEX ix_activity_newest ON activity (updated_at DESC, id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_activity_next_contact_at ON activity (next_contact_at, id) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_activity_owner_happened ON activity (owner_id, happened_at DESC, id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_activity_owner_newest ON activity (owner_id, updated_at DESC, id DESC) WHERE deleted_at IS NULL",
    "CREATE UNIQUE INDEX uq_activity_external ON activity (external_system, external_id) WHERE external_id IS NOT NULL",
    "CREATE UNIQUE INDEX uq_activity_number ON activity (number) WHERE number IS NOT NULL",
)


def upgrade() -> None:
    for statement in (*ACTIVITY_1, *replica_ddl_1("contact_replica", {"customer_id": "UUID NOT NULL"})):
        op.execute(statement)
