"""A small registry of toys, as releases have it one after the other: the worked example of docs/architecture/event-versions.md.

Boxes have a width and a height in millimetres. The first release told them as one text, `size: "30x40"`.
"""

from typing import Annotated, Literal

from pydantic import Field

from crm_contracts import Event, Part, Registry, Topic
from crm_contracts.events import Open
from crm_contracts.examples import sample

BOX = "crm.toys.box"


class BoxStateV1(Part):
    size: str
    label: str | None = None


class BoxState(Part):
    width: int
    height: int
    label: str | None = None


def release(number: int) -> Registry:
    """1: v1 alone. 2: v2 is announced, v1 is recorded. 3: v2 is recorded, v1 is read."""
    known = Registry()
    topic = known.topic(Topic(BOX, "toys", ("shop",), "Boxes.", partitions=3, retention_days=14))
    first = known.event(f"{BOX}.packed.v1", topic, example=sample({"size": "30x40"}), emitted=number < 3)
    first(type("BoxPackedV1", (Event[BoxStateV1],), {"__module__": __name__}))
    if number >= 2:
        example = sample({"width": 30, "height": 40})
        second = known.event(f"{BOX}.packed.v2", topic, example=example, emitted=number >= 3)
        second(type("BoxPacked", (Event[BoxState],), {"__module__": __name__}))
        known.upcast(from_type=f"{BOX}.packed.v1", to=f"{BOX}.packed.v2")(size_becomes_numbers)
    return known


def size_becomes_numbers(data: dict[str, object]) -> dict[str, object]:
    """v1 → v2."""
    state = data["state"]
    assert isinstance(state, dict)
    width, height = state.pop("size").split("x")
    return {**data, "state": {**state, "width": int(width), "height": int(height)}}


class Everything(Part):
    """A state with one member of each kind, to be changed in each way."""

    name: str
    colour: Literal["red", "green"] = "red"
    material: Annotated[Literal["wood", "paper"], Open()] = "wood"
    weight: int = Field(default=1, ge=1)
    note: str | None = None
    inner: "Inner | None" = None
    parts: list["Inner"] = Field(default_factory=list)
    places: dict[str, "Inner"] = Field(default_factory=dict)


class Inner(Part):
    code: str
    count: int = 0


Everything.model_rebuild()
