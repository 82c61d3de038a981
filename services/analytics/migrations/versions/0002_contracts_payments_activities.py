"""Contracts, payments and activities become facts; customers have names. What was heard before comes in with a rebuild."""

from alembic import op

revision = "0002"
down_revision = "0001"

FACTS = (
    "ALTER TABLE customer_fact ADD COLUMN name text",
    """
    CREATE TABLE contract_fact (
      id uuid NOT NULL,
      version integer NOT NULL,
      owner_id uuid,
      customer_id uuid NOT NULL,
      status text NOT NULL,
      signed_on date,
      value_minor bigint,
      currency text,
      deleted boolean NOT NULL,
      approved_version integer,
      approved_at timestamptz,
      approved_user_id uuid,
      approved_department_id uuid,
      approved_path uuid[],
      approved_day date,
      CONSTRAINT pk_contract_fact PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_contract_fact_day ON contract_fact (coalesce(signed_on, approved_day))",
    "CREATE INDEX ix_contract_fact_owner_id ON contract_fact (owner_id)",
    """
    CREATE TABLE contract_product (
      contract_id uuid NOT NULL,
      product_id uuid NOT NULL,
      value_minor bigint,
      CONSTRAINT pk_contract_product PRIMARY KEY (contract_id, product_id)
    )
    """,
    """
    CREATE TABLE payment_fact (
      id uuid NOT NULL,
      version integer NOT NULL,
      owner_id uuid,
      contract_id uuid NOT NULL,
      status text NOT NULL,
      paid_on date NOT NULL,
      value_minor bigint,
      currency text,
      deleted boolean NOT NULL,
      approved_version integer,
      approved_at timestamptz,
      approved_user_id uuid,
      approved_department_id uuid,
      approved_path uuid[],
      approved_customer_id uuid,
      CONSTRAINT pk_payment_fact PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_payment_fact_owner_id ON payment_fact (owner_id)",
    "CREATE INDEX ix_payment_fact_paid_on ON payment_fact (paid_on)",
    """
    CREATE TABLE payment_product (
      payment_id uuid NOT NULL,
      version integer NOT NULL,
      product_id uuid NOT NULL,
      value_minor bigint,
      CONSTRAINT pk_payment_product PRIMARY KEY (payment_id, version, product_id)
    )
    """,
    """
    CREATE TABLE activity_fact (
      id uuid NOT NULL,
      version integer NOT NULL,
      owner_id uuid,
      customer_id uuid,
      kind text NOT NULL,
      happened_at timestamptz NOT NULL,
      deleted boolean NOT NULL,
      created_version integer,
      created_at timestamptz,
      created_user_id uuid,
      created_department_id uuid,
      created_path uuid[],
      CONSTRAINT pk_activity_fact PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_activity_fact_happened_at ON activity_fact (happened_at)",
    "CREATE INDEX ix_activity_fact_owner_id ON activity_fact (owner_id)",
)


def upgrade() -> None:
    for statement in FACTS:
        op.execute(statement)
