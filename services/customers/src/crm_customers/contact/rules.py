"""What must hold for contacts (CU-30). Pure."""

from crm_kernel.errors import FieldError, Invalid


class CustomerUnknown(Invalid):
    """422: no such customer, or the caller may not see it."""

    code = "contact.customer_unknown"
    title = "There is no such customer"


def customer_unknown() -> CustomerUnknown:
    """The refusal, pointing at the field."""
    return CustomerUnknown(errors=[FieldError("/customer_id", CustomerUnknown.code, CustomerUnknown.title)])
