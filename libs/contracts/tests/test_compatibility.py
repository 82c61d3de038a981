"""Each way in which a schema may change: what is allowed, and what is refused with which words."""

import copy
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from pydantic import TypeAdapter, ValidationError

from crm_contracts import Registry, Topic
from crm_contracts.asyncapi import schema
from crm_contracts.compatibility import breaks
from crm_contracts.events import Event, Open
from crm_contracts.examples import sample

from .toys import Everything

Schema = dict[str, Any]


def made() -> Schema:
    known = Registry()
    topic = known.topic(Topic("crm.toys.all", "toys", (), "Toys."))
    model = type("AllMade", (Event[Everything],), {"__module__": __name__})
    known.event("crm.toys.all.made.v1", topic, example=sample({"name": "x"}))(model)
    return schema("crm.toys.all.made.v1", known)


def state(document: Schema) -> Schema:
    found: Schema = document["$defs"]["Everything"]
    return found


def inner(document: Schema) -> Schema:
    found: Schema = document["$defs"]["Inner"]
    return found


def member(name: str, **given: Any) -> Callable[[Schema], None]:
    """The state's member has other words of JSON Schema."""

    def change(document: Schema) -> None:
        state(document)["properties"][name] |= given

    return change


def without(name: str, word: str) -> Callable[[Schema], None]:
    def change(document: Schema) -> None:
        del state(document)["properties"][name][word]

    return change


def optional_member_added(document: Schema) -> None:
    state(document)["properties"]["mood"] = {"type": "string", "default": "good"}
    inner(document)["properties"]["mood"] = {"type": "string", "default": "good"}


def words_changed(document: Schema) -> None:
    document["description"] = document["title"] = "Other words"
    state(document)["properties"]["name"]["title"] = "Called"


def required_member_added(document: Schema) -> None:
    state(document)["properties"]["mood"] = {"type": "string"}
    state(document)["required"].append("mood")


def member_renamed(document: Schema) -> None:
    members = state(document)["properties"]
    members["title"] = members.pop("name")
    state(document)["required"] = ["title"]


def promised_no_more(document: Schema) -> None:
    state(document)["required"].remove("name")


def optional_becomes_required(document: Schema) -> None:
    state(document)["required"].append("note")


def inner_member_gone(document: Schema) -> None:
    del inner(document)["properties"]["count"]


def may_be_null(document: Schema) -> None:
    state(document)["properties"]["name"] = {"anyOf": [{"type": "string"}, {"type": "null"}]}


def may_not_be_null(document: Schema) -> None:
    state(document)["properties"]["note"] = {"type": "string"}


ALLOWED = [
    optional_member_added,
    words_changed,
    member("material", **{"x-extensible-enum": ["wood", "paper", "glass"]}),
]
REFUSED = [
    (member("name", type="integer"), ["/state/name: type ['string'] became ['integer']"]),
    (member("name", format="uuid"), ["/state/name: type ['string'] became ['string:uuid']"]),
    (may_be_null, ["/state/name: type ['string'] became ['null', 'string']"]),
    (may_not_be_null, ["/state/note: type ['null', 'string'] became ['string']"]),
    (member_renamed, ["/state: member name is gone", "/state: new member title is required"]),
    (required_member_added, ["/state: new member mood is required"]),
    (optional_becomes_required, ["/state: member note is required"]),
    (promised_no_more, ["/state: member name is promised no more"]),
    (member("colour", enum=["red"]), ["/state/colour: values [\"'green'\"] are no longer allowed"]),
    (
        member("colour", enum=["red", "green", "blue"]),
        ["/state/colour: values [\"'blue'\"] are refused by readers of the old schema"],
    ),
    (without("colour", "enum"), ["/state/colour: it was closed and is open"]),
    (member("name", enum=["a", "b"]), ["/state/name: it was open and is closed"]),
    (
        member("material", **{"x-extensible-enum": ["wood"]}),
        ["/state/material: values ['paper'] are no longer allowed"],
    ),
    (member("colour", default="green"), ["/state/colour: without it, 'red' was meant, now 'green'"]),
    (member("weight", minimum=5), ["/state/weight: minimum was 1 and is 5"]),
    (member("weight", minimum=0), ["/state/weight: minimum was 1 and is 0"]),
    (member("name", maxLength=10), ["/state/name: maxLength was not there and is 10"]),
    (
        inner_member_gone,
        [
            "/state/inner: member count is gone",
            "/state/parts/items: member count is gone",
            "/state/places/additionalProperties: member count is gone",
        ],
    ),
]


def test_nothing_breaks_when_nothing_changes() -> None:
    assert breaks(made(), made()) == []


@pytest.mark.parametrize("change", ALLOWED)
def test_what_both_readers_understand_is_allowed(change: Callable[[Schema], None]) -> None:
    old = made()
    new = copy.deepcopy(old)
    change(new)
    assert new != old
    assert breaks(old, new) == []


@pytest.mark.parametrize(("change", "words"), REFUSED)
def test_what_one_of_the_readers_would_not_understand_is_refused(
    change: Callable[[Schema], None], words: list[str]
) -> None:
    old = made()
    new = copy.deepcopy(old)
    change(new)
    assert breaks(old, new) == words


def test_what_refers_to_itself_is_compared_once() -> None:
    old: Schema = {"$ref": "#/$defs/Tree", "$defs": {"Tree": {"type": "object", "properties": {}}}}
    old["$defs"]["Tree"]["properties"] = {"name": {"type": "string"}, "below": {"$ref": "#/$defs/Tree"}}
    new = copy.deepcopy(old)
    assert breaks(old, new) == []
    del new["$defs"]["Tree"]["properties"]["name"]
    assert breaks(old, new) == ["/: member name is gone"]


def test_readers_take_values_of_open_choices_that_they_do_not_know() -> None:
    open_choice = TypeAdapter(Annotated[Literal["a", "b"], Open()])
    assert open_choice.validate_python("c") == "c"
    assert open_choice.json_schema() == {"type": "string", "x-extensible-enum": ["a", "b"]}
    with pytest.raises(ValidationError):
        open_choice.validate_python(1)
    with pytest.raises(ValidationError):
        TypeAdapter(Literal["a", "b"]).validate_python("c")
