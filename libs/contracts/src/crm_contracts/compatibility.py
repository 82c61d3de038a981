"""Whether a newer JSON Schema still accepts what was promised: only backward compatible changes to a released event (else `.v2`).

A consumer of the old schema must be able to read data of the new one, and a new consumer old data from the journal. So members
may be added if they are optional, and nothing that was promised may go, change type, or be narrowed.
"""

from typing import Any


def breaks(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What a change from `old` to `new` breaks, in words with the place; empty when it is compatible."""
    return list(_compare(_resolve(old, old), _resolve(new, new), old, new, "", frozenset()))


def _resolve(part: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    reference = part.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        resolved: dict[str, Any] = document["$defs"][reference.removeprefix("#/$defs/")]
        return resolved
    return part


def _compare(
    old: dict[str, Any],
    new: dict[str, Any],
    old_document: dict[str, Any],
    new_document: dict[str, Any],
    where: str,
    seen: frozenset[int],
) -> list[str]:
    if id(old) in seen:
        return []
    seen = seen | {id(old)}
    found: list[str] = []
    place = where or "/"
    old_kinds, new_kinds = _kinds(old, old_document), _kinds(new, new_document)
    if old_kinds != new_kinds:
        found.append(f"{place}: type {sorted(old_kinds)} became {sorted(new_kinds)}")
    if set(old.get("enum", [])) - set(new.get("enum", [])) and "enum" in new:
        found.append(f"{place}: values {sorted(set(old['enum']) - set(new['enum']))} are no longer allowed")
    old_members, new_members = old.get("properties", {}), new.get("properties", {})
    for name, member in old_members.items():
        if name not in new_members:
            found.append(f"{place}: member {name} is gone")
            continue
        found += _compare(
            _resolve(member, old_document),
            _resolve(new_members[name], new_document),
            old_document,
            new_document,
            f"{where}/{name}",
            seen,
        )
    new_required, old_required = set(new.get("required", [])), set(old.get("required", []))
    found += [f"{place}: member {name} is promised no more" for name in sorted(old_required - new_required)]
    # Data in the journal was written before the member existed: a new reader must not demand it.
    found += [f"{place}: new member {name} is required" for name in sorted(new_required - old_required)]
    if "items" in old and "items" in new:
        found += _compare(
            _resolve(old["items"], old_document),
            _resolve(new["items"], new_document),
            old_document,
            new_document,
            f"{where}/items",
            seen,
        )
    return found


def _kinds(part: dict[str, Any], document: dict[str, Any]) -> set[str]:
    if "anyOf" in part:
        return {kind for option in part["anyOf"] for kind in _kinds(_resolve(option, document), document)}
    kind = part.get("type", "any")
    return set(kind) if isinstance(kind, list) else {f"{kind}:{part['format']}" if "format" in part else str(kind)}
