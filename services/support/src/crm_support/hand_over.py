"""What of a leaver's goes to the successor here (ID-6). Tickets."""

from crm_contracts.support import SUPPORT_HAND_OVERS
from crm_records.hand_over import HandOvers
from crm_support.ticket.record import TICKET

HAND_OVERS = HandOvers(SUPPORT_HAND_OVERS, [TICKET])
