"""The replicas of contracts and tickets that activities can be about (SA-30)."""

from alembic import op

from crm_records.replica import replica_ddl_1

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for statement in (
        *replica_ddl_1("contract_replica", {"customer_id": "UUID NOT NULL"}),
        *replica_ddl_1("ticket_replica", {"customer_id": "UUID"}),
    ):
        op.execute(statement)
