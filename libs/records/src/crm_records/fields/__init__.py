"""The kinds of fields that a record type declares."""

from crm_records.fields.field import Field, FieldProblem, Part, Settings
from crm_records.fields.numbers import Checkbox, DecimalNumber, Integer, MoneyField
from crm_records.fields.references import IdList, Reference, UserRef
from crm_records.fields.texts import Email, LongText, Phone, Select, Text, Url
from crm_records.fields.times import Date, DateTime

__all__ = [
    "Checkbox",
    "Date",
    "DateTime",
    "DecimalNumber",
    "Email",
    "Field",
    "FieldProblem",
    "IdList",
    "Integer",
    "LongText",
    "MoneyField",
    "Part",
    "Phone",
    "Reference",
    "Select",
    "Settings",
    "Text",
    "Url",
    "UserRef",
]
