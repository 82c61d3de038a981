"""What every record has, once: fields, table, models, filters, lists, actions, history, routes. What is listed here is public."""

from crm_records.actions.batch import write_batch
from crm_records.actions.change import change_record, change_records
from crm_records.actions.create import create_record, create_records, require_assignable
from crm_records.actions.lifecycle import delete_record, restore_record
from crm_records.actions.members import put_member, remove_member
from crm_records.actions.new_owner import forget_new_owners, without_new_owner
from crm_records.actions.transfer import transfer_records
from crm_records.beside import add_beside
from crm_records.drafts import Change, Draft, ExternalRef, Record
from crm_records.fields import (
    Checkbox,
    Date,
    DateTime,
    DecimalNumber,
    Email,
    Field,
    FieldProblem,
    IdList,
    Integer,
    LongText,
    MoneyField,
    Phone,
    Reference,
    Select,
    Settings,
    Text,
    Url,
    UserRef,
)
from crm_records.hooks import Beside, RecordHooks, SystemUnit, Writing
from crm_records.inputs import check_occurred_at
from crm_records.jobs import record_jobs
from crm_records.locking import lock_one, lock_records, refuse_out_of_scope
from crm_records.models import MAX_JOB_ROWS, MAX_ROWS, Id, Instant, OptionalId, OptionalInstant, OptionalRef, RowsAnswer
from crm_records.numbers import draw_numbers
from crm_records.openness import Open, always_open, open_before, open_while
from crm_records.permissions import record_permissions
from crm_records.reading import read_json, read_record
from crm_records.record_type import DeclarationError, RecordType
from crm_records.references import ids_by_reference
from crm_records.refusals import ExternalRefTaken, OccurredInFuture, OwnerNotActive, RecordOutOfScope, RecordRepeated
from crm_records.routes import record_router
from crm_records.routes.bulk import BULK
from crm_records.routes.single import whole
from crm_records.row_answers import Outcome, rows_answer
from crm_records.rows import all_columns, record_of, state_of, to_bytes, view_of
from crm_records.schema import TEXT_1
from crm_records.tables import ddl, record_table
from crm_records.writing import write_changes, write_drafts

__all__ = [
    "BULK",
    "MAX_JOB_ROWS",
    "MAX_ROWS",
    "TEXT_1",
    "Beside",
    "Change",
    "Checkbox",
    "Date",
    "DateTime",
    "DecimalNumber",
    "DeclarationError",
    "Draft",
    "Email",
    "ExternalRef",
    "ExternalRefTaken",
    "Field",
    "FieldProblem",
    "Id",
    "IdList",
    "Instant",
    "Integer",
    "LongText",
    "MoneyField",
    "OccurredInFuture",
    "Open",
    "OptionalId",
    "OptionalInstant",
    "OptionalRef",
    "Outcome",
    "OwnerNotActive",
    "Phone",
    "Record",
    "RecordHooks",
    "RecordOutOfScope",
    "RecordRepeated",
    "RecordType",
    "Reference",
    "RowsAnswer",
    "Select",
    "Settings",
    "SystemUnit",
    "Text",
    "Url",
    "UserRef",
    "Writing",
    "add_beside",
    "all_columns",
    "always_open",
    "change_record",
    "change_records",
    "check_occurred_at",
    "create_record",
    "create_records",
    "ddl",
    "delete_record",
    "draw_numbers",
    "forget_new_owners",
    "ids_by_reference",
    "lock_one",
    "lock_records",
    "open_before",
    "open_while",
    "put_member",
    "read_json",
    "read_record",
    "record_jobs",
    "record_of",
    "record_permissions",
    "record_router",
    "record_table",
    "refuse_out_of_scope",
    "remove_member",
    "require_assignable",
    "restore_record",
    "rows_answer",
    "state_of",
    "to_bytes",
    "transfer_records",
    "view_of",
    "whole",
    "without_new_owner",
    "write_batch",
    "write_changes",
    "write_drafts",
]
