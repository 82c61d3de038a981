"""From a filter's JSON to its tree, with a pointer to whatever is wrong in it."""

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any

from crm_kernel import FieldError, Invalid
from crm_records.fields import Date, Field, FieldProblem, MoneyField
from crm_records.filter.conditions import Condition, Everything, FilterContext, Joined, Negated, Node

MAX_DEPTH = 6
MAX_CONDITIONS = 50
MAX_LIST = 500
#: The longest reach of `within_last` and `before_next`.
MAX_SPAN_DAYS = 3660

_NO_VALUE = object()


class FilterInvalid(Invalid):
    """422: the filter can't be understood; `errors` points to the place."""

    code = "filter.invalid"
    title = "The filter is not valid"


def parse_filter(raw: Any, fields: Mapping[str, Field], context: FilterContext, *, at: str) -> Node:
    """The tree of a filter. None: everything.

    fields: those that may be named. at: pointer to the filter itself (`query:filter`, `/filter`). Raises FilterInvalid.
    """
    if raw is None:
        return Everything()
    return _Parser(fields, context).node(raw, at, 1)


class _Parser:
    def __init__(self, fields: Mapping[str, Field], context: FilterContext) -> None:
        self._fields = fields
        self._context = context
        self._conditions = 0

    def node(self, raw: Any, at: str, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise _wrong(at, "filter.too_deep", f"At most {MAX_DEPTH} levels")
        if not isinstance(raw, Mapping):
            raise _wrong(
                at, "field.type", 'Must be {"field", "op", "value"}, {"and": […]}, {"or": […]} or {"not": {…}}'
            )
        keys = set(raw)
        if keys == {"and"} or keys == {"or"}:
            return self._joined("and" if "and" in keys else "or", raw, at, depth)
        if keys == {"not"}:
            return Negated(self.node(raw["not"], f"{at}/not", depth + 1))
        return self._condition(raw, at)

    def _joined(self, word: str, raw: Mapping[str, Any], at: str, depth: int) -> Node:
        parts = raw[word]
        if not isinstance(parts, list) or not parts:
            raise _wrong(f"{at}/{word}", "field.type", "Must be a list of at least one condition")
        if len(parts) > MAX_CONDITIONS:
            raise _wrong(f"{at}/{word}", "filter.too_many_conditions", f"At most {MAX_CONDITIONS} conditions")
        return Joined(word, tuple(self.node(part, f"{at}/{word}/{i}", depth + 1) for i, part in enumerate(parts)))

    def _condition(self, raw: Mapping[str, Any], at: str) -> Node:
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise _wrong(at, "filter.too_many_conditions", f"At most {MAX_CONDITIONS} conditions")
        for key in raw:
            if key not in ("field", "op", "value"):
                raise _wrong(f"{at}/{_escaped(key)}", "field.unknown", "A condition has field, op and value")
        for key in ("field", "op"):
            if key not in raw:
                raise _wrong(f"{at}/{key}", "field.required", "Field required")
            if not isinstance(raw[key], str):
                raise _wrong(f"{at}/{key}", "field.type", "Must be a string")
        field = self._fields.get(raw["field"])
        if field is None:
            raise _wrong(f"{at}/field", "filter.unknown_field", "There is no such field to filter by")
        op = raw["op"]
        if op not in field.operators:
            allowed = ", ".join(sorted(field.operators))
            raise _wrong(f"{at}/op", "filter.unknown_op", f"{field.name} takes: {allowed}")
        value = raw.get("value", _NO_VALUE)
        try:
            return Condition(field, op, self._operands(field, op, value, at))
        except FieldProblem as problem:
            raise _wrong(f"{at}/value", problem.code, problem.detail) from None

    def _operands(self, field: Field, op: str, value: Any, at: str) -> tuple[Any, ...]:
        if op == "is_empty":
            if value is _NO_VALUE:
                return (True,)
            if not isinstance(value, bool):
                raise FieldProblem("field.type", "Must be true or false")
            return (value,)
        if op in ("me", "my_team"):
            return self._people(op, value)
        if value is _NO_VALUE or value is None:
            raise FieldProblem("field.required", "A value is needed; for empty fields use is_empty")
        if op in ("within_last", "before_next"):
            return self._span(field, op, value)
        if op == "in":
            return self._list(field, value, at)
        if op == "between":
            if not isinstance(value, list) or len(value) != 2:
                raise FieldProblem("field.type", "Must be a list of two values")
            low, high = (self._each(field, item, f"{at}/value/{i}") for i, item in enumerate(value))
            if isinstance(field, MoneyField) and low.currency != high.currency:
                raise FieldProblem("money.currency_mismatch", "Both amounts must be in one currency")
            return (low, high)
        if op in ("contains", "starts_with") and field.may_search:
            text = field.text_operand(value)
            if not text.strip():
                raise FieldProblem("field.required", "A text to look for is needed")
            return (text,)
        return (field.operand(value),)

    def _list(self, field: Field, value: Any, at: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise FieldProblem("field.type", "Must be a list")
        if len(value) > MAX_LIST:
            raise FieldProblem("field.too_long", f"At most {MAX_LIST} values")
        return tuple(self._each(field, item, f"{at}/value/{i}") for i, item in enumerate(value))

    def _each(self, field: Field, item: Any, at: str) -> Any:
        try:
            return field.operand(item)
        except FieldProblem as problem:
            raise _wrong(at, problem.code, problem.detail) from None

    def _people(self, op: str, value: Any) -> tuple[uuid.UUID, ...]:
        if value is not _NO_VALUE and value is not None and value is not True:
            raise FieldProblem("field.type", f"{op} takes no value")
        if self._context.user_id is None:
            raise FieldProblem("filter.nobody", "There is no caller that this could mean")
        return (self._context.user_id,) if op == "me" else tuple(self._context.team())

    def _span(self, field: Field, op: str, value: Any) -> tuple[Any, ...]:
        """From and before: whole days of the company. `within_last: 1` and `before_next: 1` are today."""
        if isinstance(value, bool) or not isinstance(value, int):
            raise FieldProblem("field.type", "Must be a number of days")
        if not 1 <= value <= MAX_SPAN_DAYS:
            raise FieldProblem("field.too_large" if value > 0 else "field.too_small", f"1 to {MAX_SPAN_DAYS} days")
        calendar = self._context.calendar
        today = calendar.today(self._context.now)
        if op == "within_last":
            first, end = today - dt.timedelta(days=value - 1), today + dt.timedelta(days=1)
        else:
            first, end = today, today + dt.timedelta(days=value)
        if isinstance(field, Date):
            return (first, end)
        return (calendar.start_of(first), calendar.start_of(end))


def _wrong(pointer: str, code: str, detail: str) -> FilterInvalid:
    return FilterInvalid(detail, errors=[FieldError(pointer, code, detail)])


def _escaped(key: str) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")
