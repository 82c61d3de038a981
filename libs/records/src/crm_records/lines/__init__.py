"""Lines: products at their prices, on opportunities and contracts, reckoned exactly. How to use them: the library's README."""

from crm_records.lines.bodies import MAX_LINES, LineBody, Lines
from crm_records.lines.forms import decimal_text, line_of, lines_json, money_json, parts_of, totals_json
from crm_records.lines.rules import Line, LineGiven, LinesInvalid, Offer, Totals, settle_lines, totals_of
from crm_records.lines.store import lines_of, replace_lines
from crm_records.lines.tables import line_ddl_1, line_table

__all__ = [
    "MAX_LINES",
    "Line",
    "LineBody",
    "LineGiven",
    "Lines",
    "LinesInvalid",
    "Offer",
    "Totals",
    "decimal_text",
    "line_ddl_1",
    "line_of",
    "line_table",
    "lines_json",
    "lines_of",
    "money_json",
    "parts_of",
    "replace_lines",
    "settle_lines",
    "totals_json",
    "totals_of",
]
