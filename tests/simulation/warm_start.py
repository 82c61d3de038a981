"""A machine is switched off and on: the embedded broker comes back empty, everything else as it was."""

import random

from .producer import Broken
from .world import WEIGHTS, Step, World, shape_of

#: The steps of an undisturbed day: those before the first fault.
CALM = dict(list(WEIGHTS.items())[: list(WEIGHTS).index("late")])


def warm_start(seed: int) -> None:
    """Run a calm history, switch off, switch on: only what the slowest group lacks may be sent, each number once.

    Broken when more is sent, or when the history does not come to rest as it should.
    """
    r = random.Random(f"warm {seed}")
    world = World(seed, shape_of(seed))
    for name in r.choices(list(CALM), list(CALM.values()), k=r.randint(100, 400)):
        step = Step(name, r.randrange(1 << 16), r.randrange(1 << 16), 4 + 20 * r.randrange(1 << 10))  # No lost answers.
        getattr(world, name)(step)
    _switch_off(world)
    streams = world.producer.tables.streams
    wanted = {
        slot: min(streams[slot].next, *(group.watermark(slot).number + 1 for group in world.groups))
        for slot in world.slots
    }
    _switch_on(world, r)
    world.rest()
    world.check()
    for slot in world.slots:
        sent = [record.number for record in world.broker.logs[slot].records]
        lacking = list(range(wanted[slot], streams[slot].head + 1))
        if sent != lacking:
            raise Broken(f"seed {seed}, {slot}: sent {sent} on the warm start, the slowest group lacked {lacking}")


def _switch_off(world: World) -> None:
    for relay in world.processes:
        relay.forget()
    for n in range(len(world.members)):
        world.member_crash(Step("member_crash", n, 0, 0))
    world.zombies.clear()
    world.broker.wipe(world.slots, offsets_too=True)


def _switch_on(world: World, r: random.Random) -> None:
    """Everybody starts within 2 s, in any order; people go on writing."""
    starts = {thing: r.uniform(0, 2) for thing in ["relay", *range(len(world.members))]}
    for half_second in range(1, 20):
        world.now += 0.5
        if r.random() < 0.5:
            world.write(Step("write", r.randrange(100), r.randrange(100), 3 * r.randrange(1000)))
        ready = [thing for thing, start in starts.items() if start <= half_second / 2]
        r.shuffle(ready)
        for thing in ready:
            if thing == "relay":
                world.relays(Step("relays", 0, 1, 5))
            elif isinstance(thing, int):
                member = world.members[thing]
                member.fetch(5)
                member.apply(5)
                world.report(Step("report", thing, 1, 0))


def warm_starts(seeds: range) -> None:
    """The first seeds; Broken at the first that fails."""
    for seed in seeds:
        warm_start(seed)
