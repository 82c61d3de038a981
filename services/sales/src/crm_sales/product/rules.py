"""What must hold for products (SA-10). Pure."""

from crm_kernel.errors import Conflict, FieldError, Invalid


class CodeTaken(Conflict):
    """409: another product that is not deleted has the code; upper and lower case are the same."""

    code = "product.code_taken"
    title = "Another product has this code"


class CategoryInvalid(Invalid):
    """422: not a path in the category tree."""

    code = "product.category_invalid"
    title = "The category is not a path"


def code_taken() -> CodeTaken:
    """The refusal, pointing at the field."""
    return CodeTaken(errors=[FieldError("/code", CodeTaken.code, CodeTaken.title)])


def category_path(text: str | None) -> str | None:
    """A category's path in its one form: `Hardware / Servers` is `Hardware/Servers`. Raises CategoryInvalid for an empty part."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split("/")]
    if not all(parts):
        detail = 'Parts are separated by "/" and not empty, like "Hardware/Servers"'
        raise CategoryInvalid(errors=[FieldError("/category", CategoryInvalid.code, detail)])
    return "/".join(parts)
