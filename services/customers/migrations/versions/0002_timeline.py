"""Timelines, and the replicas of the other services' records that they are about (CU-17). They fill themselves: a consumer that is new
is sent everything from the first event on."""

from alembic import op

from crm_records.replica import replica_ddl_1

revision = "0002"
down_revision = "0001"

TIMELINE_1: tuple[str, ...] = (
    *replica_ddl_1("opportunity_replica", {"number": "TEXT NOT NULL", "name": "TEXT NOT NULL", "customer_id": "UUID"}),
    *replica_ddl_1("activity_replica", {"number": "TEXT NOT NULL", "subject": "TEXT NOT NULL", "customer_id": "UUID"}),
    *replica_ddl_1(
        "contract_replica", {"number": "TEXT NOT NULL", "name": "TEXT NOT NULL", "customer_id": "UUID NOT NULL"}
    ),
    *replica_ddl_1("payment_replica", {"number": "TEXT NOT NULL", "contract_id": "UUID NOT NULL"}),
    "CREATE INDEX ix_payment_replica_contract_id ON payment_replica (contract_id)",
    *replica_ddl_1("ticket_replica", {"number": "TEXT NOT NULL", "subject": "TEXT NOT NULL", "customer_id": "UUID"}),
    """
    CREATE TABLE timeline_entry (
      id UUID NOT NULL,
      customer_id UUID,
      record_type TEXT NOT NULL,
      record_id UUID NOT NULL,
      version INTEGER NOT NULL,
      kind TEXT NOT NULL,
      at TIMESTAMP WITH TIME ZONE NOT NULL,
      recorded_at TIMESTAMP WITH TIME ZONE NOT NULL,
      actor_id UUID,
      summary JSONB NOT NULL,
      CONSTRAINT pk_timeline_entry PRIMARY KEY (id)
    )
    """,
    """
    CREATE INDEX ix_timeline_entry_page ON timeline_entry (customer_id, record_type, at DESC, id DESC)
    WHERE customer_id IS NOT NULL
    """,
    "CREATE INDEX ix_timeline_entry_record_id ON timeline_entry (record_id)",
)


def upgrade() -> None:
    for statement in TIMELINE_1:
        op.execute(statement)
