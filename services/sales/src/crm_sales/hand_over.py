"""What of a leaver's goes to the successor here (ID-6). Opportunities and what is planned."""

from crm_contracts.sales import SALES_HAND_OVERS
from crm_records.hand_over import HandOvers
from crm_sales.activity.record import ACTIVITY
from crm_sales.opportunity.record import OPPORTUNITY

HAND_OVERS = HandOvers(SALES_HAND_OVERS, [OPPORTUNITY, ACTIVITY])
