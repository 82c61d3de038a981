"""A leader leaves while another process stands by, as in a rolling upgrade: the next one goes on at once, and nothing is sent again."""

import random
from dataclasses import replace

from crm_events.relay import rules

from .producer import Broken, Relay
from .warm_start import CALM
from .world import Step, World, shape_of


def take_over(seed: int) -> None:
    """Run a calm history, let the leader leave, and let the other lead. Broken when it waits, or sends what nobody lacks."""
    r = random.Random(f"take over {seed}")
    world = World(seed, replace(shape_of(seed), relays=2))
    for name in r.choices(list(CALM), list(CALM.values()), k=r.randint(50, 200)):
        step = Step(name, r.randrange(1 << 16), r.randrange(1 << 16), 4 + 20 * r.randrange(1 << 10))  # No lost answers.
        getattr(world, name)(step)
    leader, other = _sides(world)
    # A full round of reports: each group's last one is at most as old as the pause between two.
    world.now += 5.0
    for n, member in enumerate(world.members):
        member.fetch(1000)
        world.report(Step("report", n, 1, 0))
        world.now += r.uniform(0, 4.0 / len(world.members))
    leader.forget()
    world.now += r.uniform(0, 0.5)
    other.try_lock(world.now)
    expected, head = {}, {}
    for slot, partition in other.partitions.items():
        if not rules.may_send(partition, world.now + other.skew):
            raise Broken(f"seed {seed}, {slot}: who stood by waits for {set(partition.groups - partition.heard)}")
        head[slot] = partition.head
        expected[slot] = len(world.broker.logs[slot].records) + partition.head + 1 - partition.next
    world.rest()
    world.check()
    for slot, count in expected.items():
        numbers = [record.number for record in world.broker.logs[slot].records]
        added = world.producer.tables.streams[slot].head - head[slot]
        if len(numbers) != count + added:
            raise Broken(f"seed {seed}, {slot}: sent {numbers}, expected were {count + added}")


def _sides(world: World) -> tuple[Relay, Relay]:
    """Who leads, and who stands by."""
    for relay in world.processes:
        relay.try_lock(world.now)
    leading = [relay for relay in world.processes if relay.leads]
    other = next(relay for relay in world.processes if not relay.leads)
    return leading[0], other


def take_overs(seeds: range) -> None:
    """The first seeds; Broken at the first that fails."""
    for seed in seeds:
        take_over(seed)
