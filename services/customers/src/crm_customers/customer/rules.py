"""What must hold between customers (CU-20). Pure."""

import uuid
from collections.abc import Mapping

from crm_kernel.errors import FieldError, Invalid


class ParentUnknown(Invalid):
    """422: no such customer, or the caller may not see it."""

    code = "customer.parent_unknown"
    title = "There is no such parent customer"


class ParentCycle(Invalid):
    """422: a customer can't belong to itself, directly or through others."""

    code = "customer.parent_cycle"
    title = "The customer would belong to itself"


def parent_unknown() -> ParentUnknown:
    """The refusal, pointing at the field."""
    return ParentUnknown(errors=[FieldError("/parent_id", ParentUnknown.code, ParentUnknown.title)])


def check_no_cycle(customer_id: uuid.UUID, parent_id: uuid.UUID, parents: Mapping[uuid.UUID, uuid.UUID | None]) -> None:
    """Whether the customer may belong to the parent. parents: customer → parent, at least from the new parent up to the top.

    Raises ParentCycle.
    """
    met: set[uuid.UUID] = set()
    above: uuid.UUID | None = parent_id
    while above is not None and above not in met:
        if above == customer_id:
            raise ParentCycle(errors=[FieldError("/parent_id", ParentCycle.code, ParentCycle.title)])
        met.add(above)
        above = parents.get(above)
