"""A field of words: a ticket's tags."""

from typing import Any, ClassVar

import sqlalchemy as sa

from crm_records import Field, FieldProblem
from crm_records.fields.field import JsonSchema, Part, Row, text_of

MAX_TAGS = 20
MAX_LENGTH = 40


class Tags(Field):
    """Words, in order, each once. `contains`: has this one among them, whatever its case.

    They stand in one column, each between line ends, so that the filter language finds whole ones in it as it finds text.
    """

    kind = "tags"
    parts = (Part("", sa.Text()),)
    operators: ClassVar[frozenset[str]] = frozenset({"contains", "is_empty"})
    may_search = True
    may_sort = False
    plain = False

    def parse(self, raw: Any) -> tuple[str, ...]:
        if not isinstance(raw, list | tuple):
            raise FieldProblem("field.type", "Must be a list of words")
        if len(raw) > MAX_TAGS:
            raise FieldProblem("field.too_long", f"At most {MAX_TAGS} tags")
        return tuple(dict.fromkeys(_tag(item) for item in raw))

    def text_operand(self, raw: Any) -> str:
        return f"\n{_tag(raw)}\n"

    def stored(self, value: Any) -> dict[str, Any]:
        return {self.name: "\n" + "\n".join(value) + "\n" if value else None}

    def loaded(self, row: Row) -> Any:
        return tuple((row[self.name] or "").split("\n")[1:-1])

    def json(self, value: Any) -> Any:
        return list(value or ())

    def schema(self) -> JsonSchema:
        word = {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH}
        return {"type": "array", "items": word, "maxItems": MAX_TAGS}


def _tag(raw: Any) -> str:
    text = text_of(raw, MAX_LENGTH).strip()
    if not text or not text.isprintable():
        raise FieldProblem("field.format", "A tag is a word without line breaks or control characters")
    return text
