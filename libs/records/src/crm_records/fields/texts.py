"""Fields that hold text: plain, long, telephone numbers, e-mail addresses, web addresses, one of a list."""

import re
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import urlsplit

import phonenumbers
import sqlalchemy as sa
from email_validator import EmailNotValidError, validate_email

from crm_records.fields.field import Field, FieldProblem, JsonSchema, Part, Settings, text_of

_TEXT = frozenset({"eq", "ne", "in", "is_empty", "contains", "starts_with"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")


class Text(Field):
    """One line. Trimmed; an empty one is no value. max_length: in characters."""

    kind = "text"
    parts = (Part("", sa.Text()),)
    operators: ClassVar[frozenset[str]] = _TEXT | {"gt", "gte", "lt", "lte", "between"}
    may_search = True

    def __init__(self, name: str, *, max_length: int = 200, pattern: str | None = None, **options: Any) -> None:
        self.max_length = max_length
        self.pattern = re.compile(pattern) if pattern else None
        super().__init__(name, **options)

    def parse(self, raw: Any) -> str | None:
        text = text_of(raw, self.max_length).strip()
        if _CONTROL.search(text):
            raise FieldProblem("field.format", "May not contain line breaks or control characters")
        if not text:
            return None
        if self.pattern and not self.pattern.fullmatch(text):
            raise FieldProblem("field.format", f"Must match {self.pattern.pattern}")
        return text

    def operand(self, raw: Any) -> Any:
        return text_of(raw, self.max_length)

    def schema(self) -> JsonSchema:
        schema: JsonSchema = {"type": "string", "maxLength": self.max_length}
        if self.required:
            schema["minLength"] = 1
        if self.pattern:
            schema["pattern"] = f"^{self.pattern.pattern}$"
        return schema

    def sort_keys(self, table: sa.FromClause) -> tuple[sa.ColumnElement[Any], ...]:
        return (sa.func.crm_sort_key(self.expressions(table)[0], type_=sa.Text()),)


class LongText(Text):
    """Several lines; kept as given. Neither sorted nor searched by."""

    kind = "long_text"
    operators: ClassVar[frozenset[str]] = frozenset({"contains", "is_empty"})
    may_search = False
    may_sort = False

    def __init__(self, name: str, *, max_length: int = 10_000, **options: Any) -> None:
        super().__init__(name, max_length=max_length, **options)

    def parse(self, raw: Any) -> str | None:
        text = text_of(raw, self.max_length)
        if not text.strip():
            return None
        return text


class Phone(Field):
    """A telephone number, stored and shown as E.164 (`+8221234567`). Without a country code: the company's region's."""

    kind = "phone"
    parts = (Part("", sa.Text()),)
    operators: ClassVar[frozenset[str]] = _TEXT
    may_search = True

    def parse(self, raw: Any) -> str | None:
        text = text_of(raw, 40).strip()
        return text or None

    def settle(self, value: Any, settings: Settings) -> Any:
        if value is None:
            return None
        try:
            number = phonenumbers.parse(value, settings.region)
        except phonenumbers.NumberParseException:
            raise FieldProblem("phone.invalid", "Not a telephone number; begin with + and the country code") from None
        if not phonenumbers.is_possible_number(number) or number.extension:
            raise FieldProblem("phone.invalid", "Not a possible telephone number (an extension can't be kept)")
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)

    def operand(self, raw: Any) -> Any:
        return re.sub(r"[\s().\-]", "", text_of(raw, 40))

    def text_operand(self, raw: Any) -> str:
        return self.operand(raw)  # type: ignore[no-any-return]

    def schema(self) -> JsonSchema:
        return {"type": "string", "maxLength": 40}


class Email(Field):
    """An e-mail address, checked by form only; the domain is stored in lower case."""

    kind = "email"
    parts = (Part("", sa.Text()),)
    operators: ClassVar[frozenset[str]] = _TEXT
    may_search = True

    def parse(self, raw: Any) -> str | None:
        text = text_of(raw, 254).strip()
        if not text:
            return None
        try:
            # Reserved domains (.test, .example) are nobody's mistake here, and no name server is asked.
            return validate_email(text, check_deliverability=False, test_environment=True).normalized
        except EmailNotValidError:
            raise FieldProblem("email.invalid", "Not an e-mail address") from None

    def operand(self, raw: Any) -> Any:
        return text_of(raw, 254)

    def schema(self) -> JsonSchema:
        return {"type": "string", "format": "email", "maxLength": 254}


class Url(Field):
    """A web address, http or https; one without a scheme gets https."""

    kind = "url"
    parts = (Part("", sa.Text()),)
    operators: ClassVar[frozenset[str]] = _TEXT
    may_search = True

    def parse(self, raw: Any) -> str | None:
        text = text_of(raw, 1000).strip()
        if not text:
            return None
        address = text if "://" in text else f"https://{text}"
        try:
            parts = urlsplit(address)
            host = parts.hostname
            _ = parts.port
        except ValueError:
            host = None
            parts = None
        if (
            parts is None
            or parts.scheme not in ("http", "https")
            or not host
            or re.search(r"[\s<>\"\x00-\x1f]", address)
        ):
            raise FieldProblem("url.invalid", "Not a web address (http or https)")
        return address

    def operand(self, raw: Any) -> Any:
        return text_of(raw, 1000)

    def schema(self) -> JsonSchema:
        return {"type": "string", "maxLength": 1000}


class Select(Field):
    """One of a list of values."""

    kind = "select"
    parts = (Part("", sa.Text()),)

    def __init__(self, name: str, values: Sequence[str], **options: Any) -> None:
        if not values:
            raise ValueError(f"{name}: nothing to select from")
        self.values = tuple(values)
        super().__init__(name, **options)

    def parse(self, raw: Any) -> str:
        if not isinstance(raw, str):
            raise FieldProblem("field.type", "Must be a string")
        if raw not in self.values:
            raise FieldProblem("field.choice", f"Must be one of: {', '.join(self.values)}")
        return raw

    def schema(self) -> JsonSchema:
        return {"type": "string", "enum": list(self.values)}
