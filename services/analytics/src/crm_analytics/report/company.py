"""What reports need to know of the company."""

from crm_authz import Directory
from crm_kernel import Unavailable


class CompanyUnknown(Unavailable):
    """503: this service has not heard of the company yet."""

    code = "report.company_unknown"
    title = "The company's settings have not arrived here yet"


def currency_of(directory: Directory) -> str:
    """The company's currency, ISO 4217. Raises CompanyUnknown."""
    if directory.company is None:
        raise CompanyUnknown
    return directory.company.currency
