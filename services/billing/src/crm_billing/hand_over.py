"""What of a leaver's goes to the successor here (ID-6). Contracts, and payments that wait for approval."""

from crm_billing.contract.record import CONTRACT
from crm_billing.payment.record import PAYMENT
from crm_contracts.billing import BILLING_HAND_OVERS
from crm_records.hand_over import HandOvers

HAND_OVERS = HandOvers(BILLING_HAND_OVERS, [CONTRACT, PAYMENT])
