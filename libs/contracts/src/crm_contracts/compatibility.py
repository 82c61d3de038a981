"""Whether a newer JSON Schema still keeps what an older one promised: a released event type changes only so, else it gets a `.v2`.

Two readers have to get on: one of the old schema with data of the new one (a consumer that is not upgraded yet), and one of the new schema
with data of the old one (it stands in journals for ever). So:

- A member may be added when it is optional. It may not go, change its type, become or cease to be required, nor mean something else when it
  is missing (`default`).
- A closed choice (`enum`, `const`) stays as it is: readers refuse a value that they don't know, and old data has all old ones. An open one
  (`x-extensible-enum`, crm_contracts.events.Open) may grow: readers take what they don't know as a text. It may not shrink.
- Limits (`minimum`, `maxLength`, `pattern`, …) and formats stay: tighter ones refuse old data, looser ones are refused by old readers.
- Titles, descriptions and examples are for people, and change freely.
"""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]

_LIMITS = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
    *("contentEncoding", "contentMediaType", "propertyNames"),
)
_ABSENT = object()


def breaks(old: Schema, new: Schema) -> list[str]:
    """What a change from `old` to `new` breaks, in words with the place; empty when it is compatible."""
    return list(_Comparison(old, new).compare(old, new, ""))


class _Comparison:
    """Of two documents; their parts may refer to their definitions."""

    def __init__(self, old: Schema, new: Schema) -> None:
        self._old = old
        self._new = new
        #: Pairs of definitions under comparison: what refers to itself is compared once.
        self._under_way: set[tuple[str, str]] = set()

    def compare(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        """What differs between two parts at one place."""
        pair = (str(old.get("$ref")), str(new.get("$ref")))
        if "$ref" in old and pair in self._under_way:
            return
        self._under_way.add(pair)
        yield from self._resolved(_resolve(old, self._old), _resolve(new, self._new), where)
        self._under_way.discard(pair)

    def _resolved(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        place = where or "/"
        old_kinds, new_kinds = _kinds(old, self._old), _kinds(new, self._new)
        if old_kinds != new_kinds:
            yield f"{place}: type {sorted(old_kinds)} became {sorted(new_kinds)}"
            return
        yield from _choices(old, new, place)
        for limit in _LIMITS:
            if old.get(limit, _ABSENT) != new.get(limit, _ABSENT):
                yield f"{place}: {limit} was {old.get(limit, 'not there')} and is {new.get(limit, 'gone')}"
        yield from self._members(old, new, where)
        for key in ("items", "additionalProperties"):
            if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
                yield from self.compare(old[key], new[key], f"{where}/{key}")
            elif old.get(key, True) != new.get(key, True):
                yield f"{place}: {key} was {'free' if old.get(key, True) is True else 'declared'} and is not so now"
        old_options, new_options = _options(old), _options(new)
        # The kinds are the same; options of one kind are compared in their order.
        for kind in sorted(old_kinds):
            of_old = [one for one in old_options if kind in _kinds(one, self._old)]
            of_new = [one for one in new_options if kind in _kinds(one, self._new)]
            if len(of_old) != len(of_new):
                yield f"{place}: {len(of_old)} forms of {kind} became {len(of_new)}"
            for before, after in zip(of_old, of_new, strict=False):
                yield from self.compare(before, after, where)

    def _members(self, old: Schema, new: Schema, where: str) -> Iterator[str]:
        place = where or "/"
        old_members, new_members = old.get("properties", {}), new.get("properties", {})
        old_required, new_required = set(old.get("required", [])), set(new.get("required", []))
        for name, member in old_members.items():
            if name not in new_members:
                yield f"{place}: member {name} is gone"
                continue
            before, after = member.get("default", _ABSENT), new_members[name].get("default", _ABSENT)
            # Whether there is one at all is told by `required`.
            if before is not _ABSENT and after is not _ABSENT and before != after:
                yield f"{where}/{name}: without it, {before!r} was meant, now {after!r}"
            yield from self.compare(member, new_members[name], f"{where}/{name}")
        for name in sorted(old_required - new_required):
            if name in new_members:
                yield f"{place}: member {name} is promised no more"
        # Data in the journal was written before the member existed: a new reader must not demand it.
        for name in sorted(new_required - old_required):
            yield f"{place}: {'new member' if name not in old_members else 'member'} {name} is required"


def _choices(old: Schema, new: Schema, place: str) -> Iterator[str]:
    before, after = _closed(old), _closed(new)
    if before != after:
        if before is None or after is None:
            yield f"{place}: it was {'open' if before is None else 'closed'} and is {'open' if after is None else 'closed'}"
            return
        gone, more = before - after, after - before
        if gone:
            yield f"{place}: values {sorted(gone)} are no longer allowed"
        if more:
            yield f"{place}: values {sorted(more)} are refused by readers of the old schema"
    narrowed = set(old.get("x-extensible-enum", ())) - set(new.get("x-extensible-enum", ()))
    if narrowed:
        yield f"{place}: values {sorted(narrowed)} are no longer allowed"


def _closed(part: Schema) -> set[str] | None:
    """The values of a closed choice; None when it is none."""
    if "const" in part:
        return {repr(part["const"])}
    return {repr(value) for value in part["enum"]} if "enum" in part else None


def _options(part: Schema) -> list[Schema]:
    return [*part.get("anyOf", ()), *part.get("oneOf", ())]


def _resolve(part: Schema, document: Schema) -> Schema:
    reference = part.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        resolved: Schema = document["$defs"][reference.removeprefix("#/$defs/")]
        return resolved
    return part


def _kinds(part: Schema, document: Schema) -> frozenset[str]:
    part = _resolve(part, document)
    if options := _options(part):
        return frozenset(kind for option in options for kind in _kinds(option, document))
    kind = part.get("type", "any")
    kinds = kind if isinstance(kind, list) else [kind]
    return frozenset(f"{one}:{part['format']}" if "format" in part else str(one) for one in kinds)
