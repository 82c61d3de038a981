"""A leaver's records go to the successor (ID-6): one service's part, for all its record types. See docs/architecture/sagas.md."""

from crm_records.hand_over.declaration import HandOvers
from crm_records.hand_over.schema import HAND_OVERS_1

__all__ = ["HAND_OVERS_1", "HandOvers"]
