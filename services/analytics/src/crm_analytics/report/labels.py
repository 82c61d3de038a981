"""Names for the keys of rows. What is not known here (yet) shows as its bare id."""

import uuid
from collections.abc import Mapping
from typing import Any

from crm_authz import Directory


def department_label(directory: Directory, key: uuid.UUID) -> str:
    """The department's present name."""
    return directory.department_name(key) or str(key)


def user_label(directory: Directory, key: uuid.UUID) -> str:
    """The user's present name."""
    return directory.user_name(key) or str(key)


def label_of(group_by: str, key: Any, directory: Directory, names: Mapping[uuid.UUID, str]) -> str | None:
    """The label of a row. names: of products or pipelines. None for what belongs to nobody or nothing (key None)."""
    if key is None:
        return None
    if group_by == "department":
        return department_label(directory, key)
    if group_by == "user":
        return user_label(directory, key)
    if isinstance(key, uuid.UUID):
        return names.get(key, str(key))
    return str(key)
