"""A record type's part of the permission catalogue (ID-11)."""

from crm_authz import PermissionEntry, standard_entries
from crm_records.record_type import DeclarationError, RecordType


def record_permissions(record: RecordType) -> list[PermissionEntry]:
    """The standard permissions with their names in four languages. Raises DeclarationError when a language has no title."""
    missing = {"ko", "zh", "ru"} - set(record.titles)
    if missing:
        raise DeclarationError(f"{record.key} has no title in {', '.join(sorted(missing))}")
    without = () if record.scoped else ("transfer", "share")
    return standard_entries(record.key, {"en": record.title, **record.titles}, without=without)
