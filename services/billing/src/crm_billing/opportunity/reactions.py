"""Opportunities' events become the replica."""

from crm_billing.opportunity.tables import OPPORTUNITIES

REACTIONS = (OPPORTUNITIES.reaction("billing.opportunities"),)
