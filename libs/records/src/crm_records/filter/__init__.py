"""The filter language (PL-5): conditions over fields, joined by and, or, not."""

from crm_records.filter.conditions import Everything, FilterContext, Node
from crm_records.filter.parse import parse_filter

__all__ = ["Everything", "FilterContext", "Node", "parse_filter"]
