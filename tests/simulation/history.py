"""Running seeds, and making a failing history short."""

from dataclasses import dataclass

from .producer import Broken
from .world import Shape, Step, World, shape_of, steps_of


@dataclass(frozen=True)
class Failure:
    """A history that breaks the rules, as short as dropping steps makes it."""

    seed: int
    reason: str
    steps: tuple[Step, ...]
    drawn: int

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: {self.reason}", f"{len(self.steps)} of {self.drawn} steps are enough:"]
        return "\n".join(
            [*lines, *(f"  {n:3} {step.name} {step.a} {step.b} {step.c}" for n, step in enumerate(self.steps))]
        )


def reason_of(seed: int, shape: Shape, steps: list[Step], world: type[World] = World) -> str | None:
    """Why the history fails; None when it doesn't."""
    try:
        world(seed, shape).run(steps)
    except Broken as broken:
        return str(broken)
    return None


def shrunk(seed: int, shape: Shape, steps: list[Step], world: type[World] = World) -> list[Step]:
    """Drop steps, large pieces first, while the history still fails."""
    size = len(steps) // 2
    while size >= 1:
        at = 0
        while at < len(steps):
            shorter = steps[:at] + steps[at + size :]
            if reason_of(seed, shape, shorter, world) is not None:
                steps = shorter
            else:
                at += size
        size //= 2
    return steps


def first_failure(
    seeds: range, world: type[World] = World, *, shrink: bool = True, producer_restores: bool = False
) -> Failure | None:
    """The first seed whose history fails, shrunk."""
    for seed in seeds:
        shape = shape_of(seed, producer_restores=producer_restores)
        steps = steps_of(seed, producer_restores=producer_restores)
        if reason_of(seed, shape, steps, world) is not None:
            short = shrunk(seed, shape, steps, world) if shrink else steps
            return Failure(seed, reason_of(seed, shape, short, world) or "", tuple(short), len(steps))
    return None
