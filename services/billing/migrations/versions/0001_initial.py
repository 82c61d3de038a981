"""Everything that the billing service starts with: the libraries' tables, its own, and a ledger that nobody changes."""

from alembic import op

from crm_approvals import APPROVALS_1
from crm_authz import AUTHZ_1
from crm_events.schema import BUS_1, JOURNAL_1
from crm_records import TEXT_1
from crm_records.lines import line_ddl_1
from crm_records.replica import replica_ddl_1
from crm_web.idempotency import IDEMPOTENCY_1

revision = "0001"
down_revision = None

BILLING_1: tuple[str, ...] = (
    "CREATE SEQUENCE contract_number",
    """
    CREATE TABLE contract (
      id UUID NOT NULL,
      version INTEGER NOT NULL,
      number TEXT,
      name TEXT NOT NULL,
      customer_id UUID NOT NULL,
      opportunity_id UUID,
      status TEXT NOT NULL,
      value_currency TEXT,
      value_minor BIGINT,
      signed_on DATE,
      starts_on DATE,
      ends_on DATE,
      our_signatory TEXT,
      their_signatory TEXT,
      payment_terms TEXT,
      description TEXT,
      last_decision TEXT,
      end_reason TEXT,
      owner_id UUID,
      external_system TEXT,
      external_id TEXT,
      custom JSONB DEFAULT '{}'::jsonb NOT NULL,
      created_at TIMESTAMP WITH TIME ZONE NOT NULL,
      updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
      created_by UUID,
      deleted_at TIMESTAMP WITH TIME ZONE,
      search_text TEXT GENERATED ALWAYS AS (crm_fold(coalesce(name, ''))) STORED,
      CONSTRAINT pk_contract PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_contract_customer_id ON contract (customer_id, id)",
    "CREATE INDEX ix_contract_deleted ON contract (deleted_at) WHERE deleted_at IS NOT NULL",
    "CREATE INDEX ix_contract_grams ON contract USING gin (crm_pairs(search_text, true))",
    "CREATE INDEX ix_contract_name ON contract (crm_sort_key(name), id) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_contract_newest ON contract (updated_at DESC, id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_contract_owner_newest ON contract (owner_id, updated_at DESC, id DESC) WHERE deleted_at IS NULL",
    "CREATE UNIQUE INDEX uq_contract_external ON contract (external_system, external_id) WHERE external_id IS NOT NULL",
    "CREATE UNIQUE INDEX uq_contract_number ON contract (number) WHERE number IS NOT NULL",
    "CREATE UNIQUE INDEX uq_contract_opportunity_id ON contract (opportunity_id) "
    "WHERE opportunity_id IS NOT NULL AND status <> 'void' AND deleted_at IS NULL",
    *line_ddl_1("contract"),
    """
    CREATE TABLE contract_instalment (
      id UUID NOT NULL,
      contract_id UUID NOT NULL,
      number INTEGER NOT NULL,
      amount_currency TEXT NOT NULL,
      amount_minor BIGINT NOT NULL,
      due_on DATE NOT NULL,
      method TEXT NOT NULL,
      remind_days INTEGER NOT NULL,
      CONSTRAINT pk_contract_instalment PRIMARY KEY (id),
      CONSTRAINT ck_contract_instalment_amount CHECK (amount_minor > 0),
      CONSTRAINT fk_contract_instalment_contract_id FOREIGN KEY(contract_id) REFERENCES contract (id)
    )
    """,
    "CREATE UNIQUE INDEX uq_contract_instalment_number ON contract_instalment (contract_id, number)",
    """
    CREATE TABLE ledger_entry (
      id UUID NOT NULL,
      contract_id UUID NOT NULL,
      position INTEGER NOT NULL,
      at TIMESTAMP WITH TIME ZONE NOT NULL,
      kind TEXT NOT NULL,
      debit_account TEXT NOT NULL,
      credit_account TEXT NOT NULL,
      instalment_id UUID NOT NULL,
      payment_id UUID,
      amount_minor BIGINT NOT NULL,
      currency TEXT NOT NULL,
      actor_id UUID,
      write_id UUID NOT NULL,
      CONSTRAINT pk_ledger_entry PRIMARY KEY (id),
      CONSTRAINT ck_ledger_entry_amount CHECK (amount_minor > 0),
      CONSTRAINT ck_ledger_entry_accounts CHECK ((kind, debit_account, credit_account) IN (('planned', 'open', 'contracted'),
        ('unplanned', 'contracted', 'open'), ('terminated', 'contracted', 'open'), ('paid', 'received', 'open'))),
      CONSTRAINT ck_ledger_entry_payment CHECK ((payment_id IS NOT NULL) = (kind = 'paid')),
      CONSTRAINT fk_ledger_entry_contract_id FOREIGN KEY(contract_id) REFERENCES contract (id)
    )
    """,
    "CREATE UNIQUE INDEX uq_ledger_entry_position ON ledger_entry (contract_id, position)",
    "CREATE SEQUENCE payment_number",
    """
    CREATE TABLE payment (
      id UUID NOT NULL,
      version INTEGER NOT NULL,
      number TEXT,
      contract_id UUID NOT NULL,
      amount_currency TEXT NOT NULL,
      amount_minor BIGINT NOT NULL,
      paid_on DATE NOT NULL,
      method TEXT NOT NULL,
      reference TEXT,
      status TEXT NOT NULL,
      owner_id UUID,
      external_system TEXT,
      external_id TEXT,
      custom JSONB DEFAULT '{}'::jsonb NOT NULL,
      created_at TIMESTAMP WITH TIME ZONE NOT NULL,
      updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
      created_by UUID,
      deleted_at TIMESTAMP WITH TIME ZONE,
      search_text TEXT GENERATED ALWAYS AS (crm_fold(coalesce(reference, ''))) STORED,
      CONSTRAINT pk_payment PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_payment_contract_id ON payment (contract_id, id)",
    "CREATE INDEX ix_payment_deleted ON payment (deleted_at) WHERE deleted_at IS NOT NULL",
    "CREATE INDEX ix_payment_grams ON payment USING gin (crm_pairs(search_text, true))",
    "CREATE INDEX ix_payment_newest ON payment (updated_at DESC, id DESC) WHERE deleted_at IS NULL",
    "CREATE INDEX ix_payment_owner_newest ON payment (owner_id, updated_at DESC, id DESC) WHERE deleted_at IS NULL",
    "CREATE UNIQUE INDEX uq_payment_external ON payment (external_system, external_id) WHERE external_id IS NOT NULL",
    "CREATE UNIQUE INDEX uq_payment_number ON payment (number) WHERE number IS NOT NULL",
    """
    CREATE TABLE payment_allocation (
      payment_id UUID NOT NULL,
      position INTEGER NOT NULL,
      instalment_id UUID NOT NULL,
      amount_currency TEXT NOT NULL,
      amount_minor BIGINT NOT NULL,
      CONSTRAINT pk_payment_allocation PRIMARY KEY (payment_id, position),
      CONSTRAINT ck_payment_allocation_amount CHECK (amount_minor > 0),
      CONSTRAINT fk_payment_allocation_payment_id FOREIGN KEY(payment_id) REFERENCES payment (id)
    )
    """,
    # What was entered stays: a mistake is taken back by an entry of its own (BI-24).
    """
    CREATE FUNCTION crm_ledger_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'entries of the ledger are never changed' USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    """
    CREATE TRIGGER ledger_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entry
    FOR EACH STATEMENT EXECUTE FUNCTION crm_ledger_immutable()
    """,
    *replica_ddl_1("customer_replica", {"number": "TEXT NOT NULL", "name": "TEXT NOT NULL"}),
    *replica_ddl_1(
        "product_replica",
        {
            "code": "TEXT NOT NULL",
            "name": "TEXT NOT NULL",
            "list_price_currency": "TEXT",
            "list_price_minor": "BIGINT",
            "on_sale": "BOOLEAN NOT NULL",
        },
        scoped=False,
    ),
    *replica_ddl_1(
        "opportunity_replica",
        {
            "number": "TEXT NOT NULL",
            "name": "TEXT NOT NULL",
            "outcome": "TEXT NOT NULL",
            "customer_id": "UUID",
            "value_currency": "TEXT",
            "value_minor": "BIGINT",
            "lines": "JSONB NOT NULL",
            "totals": "JSONB",
        },
    ),
)


def upgrade() -> None:
    for statement in (*JOURNAL_1, *BUS_1, *AUTHZ_1, *IDEMPOTENCY_1, *TEXT_1, *APPROVALS_1, *BILLING_1):
        op.execute(statement)
