"""The links of an activity, as a field: one to five records, in order, each once."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_records.fields import FieldProblem, IdList
from crm_records.fields.field import JsonSchema, Part, Row
from crm_records.fields.references import id_of

MAX_LINKS = 5


@dataclass(frozen=True)
class Link:
    """A record that an activity is about. type: `customers.customer`."""

    type: str
    id: uuid.UUID


class Links(IdList):
    """`[{"type": "customers.customer", "id": …}]`. `contains`: is about this record, named `customers.customer:<id>`.

    types: which records can be linked. Stored as two arrays of one length, ids and types.
    """

    kind = "links"
    # The ids stand first: they are what filters look into. Ids are unique across types, so that the type need not be compared.
    parts = (Part("_ids", ARRAY(sa.Uuid())), Part("_types", ARRAY(sa.Text())))
    plain = False

    def __init__(self, name: str, *, types: Sequence[str], **options: Any) -> None:
        self.types = tuple(types)
        super().__init__(
            name, to=", ".join(self.types), max_items=MAX_LINKS, required=True, **{"default": None, **options}
        )

    def parse(self, raw: Any) -> Any:
        if not isinstance(raw, list | tuple):
            raise FieldProblem("field.type", "Must be a list of links")
        if not raw:
            raise FieldProblem("field.required", "At least one link is needed")
        if len(raw) > self.max_items:
            raise FieldProblem("field.too_long", f"At most {self.max_items} links")
        return tuple(dict.fromkeys(self._link(item) for item in raw))

    def named(self, text: str) -> Link:
        """The link that `customers.customer:<id>` names; FieldProblem."""
        kind, _, rest = text.partition(":")
        return self._link({"type": kind, "id": rest})

    def _link(self, raw: Any) -> Link:
        if not isinstance(raw, dict) or set(raw) != {"type", "id"}:
            raise FieldProblem("field.type", 'A link is {"type": "customers.customer", "id": …}')
        if raw["type"] not in self.types:
            raise FieldProblem("field.choice", f"The type of a link is one of: {', '.join(self.types)}")
        return Link(raw["type"], id_of(raw["id"]))

    def operand(self, raw: Any) -> Any:
        if not isinstance(raw, str):
            raise FieldProblem("field.type", 'Must be a text like "customers.customer:<id>"')
        return self.named(raw).id

    def stored(self, value: Any) -> dict[str, Any]:
        ids, types = self.place.labels(self)
        return {ids: [str(link.id) for link in value], types: [link.type for link in value]}

    def loaded(self, row: Row) -> Any:
        ids, types = self.place.labels(self)
        pairs = zip(row[types], row[ids], strict=True)
        return tuple(Link(kind, uuid.UUID(int=one.int)) for kind, one in pairs)

    def json(self, value: Any) -> Any:
        return None if value is None else [{"type": link.type, "id": str(link.id)} for link in value]

    def schema(self) -> JsonSchema:
        link = {
            "type": "object",
            "properties": {
                "type": {"type": "string", "enum": list(self.types)},
                "id": {"type": "string", "format": "uuid"},
            },
            "required": ["type", "id"],
            "additionalProperties": False,
        }
        return {"type": "array", "items": link, "minItems": 1, "maxItems": self.max_items}
