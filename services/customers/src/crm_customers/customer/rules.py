"""What must hold between customers (CU-20). Pure."""

import uuid
from collections.abc import Collection

from crm_kernel.errors import Conflict, FieldError, Invalid


class ParentUnknown(Invalid):
    """422: no such customer, or the caller may not see it."""

    code = "customer.parent_unknown"
    title = "There is no such parent customer"


class ParentCycle(Invalid):
    """422: a customer can't belong to itself, directly or through others."""

    code = "customer.parent_cycle"
    title = "The customer would belong to itself"


class HasContacts(Conflict):
    """409: contacts hang on the customer."""

    code = "customer.has_contacts"
    title = "The customer still has contacts"


def parent_unknown() -> ParentUnknown:
    """The refusal, pointing at the field."""
    return ParentUnknown(errors=[FieldError("/parent_id", ParentUnknown.code, ParentUnknown.title)])


def check_no_cycle(customer_id: uuid.UUID, above_parent: Collection[uuid.UUID]) -> None:
    """above_parent: the new parent and everybody above it. Raises ParentCycle."""
    if customer_id in above_parent:
        raise ParentCycle(errors=[FieldError("/parent_id", ParentCycle.code, ParentCycle.title)])
