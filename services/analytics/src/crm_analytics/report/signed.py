"""Which contracts and payments count, and on which day: the same in every report."""

from typing import Final

import sqlalchemy as sa

from crm_analytics.facts.billing_rows import SIGNED
from crm_analytics.facts.tables import contract_fact, payment_fact

#: The day that a contract counts on: when it was signed, as far as that is known, else when it was approved.
CONTRACT_DAY: Final = sa.func.coalesce(contract_fact.c.signed_on, contract_fact.c.approved_day)
#: It was approved, and is not void.
IS_SIGNED: Final = contract_fact.c.status.in_([sa.literal_column(f"'{status}'") for status in sorted(SIGNED)])
#: The payment was approved.
IS_RECEIVED: Final = payment_fact.c.status == sa.literal_column("'approved'")
