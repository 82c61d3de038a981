"""From `record()` to an effect in another service's database."""

from .conftest import Bench, following


async def test_what_is_recorded_is_applied_once_and_in_order_per_record(bench: Bench) -> None:
    maker = await bench.worker("maker")
    follower = await bench.worker("follower", [following(bench.things, "follower.things")])
    async with bench.running(maker, follower):
        await bench.write(create=20)
        for _ in range(5):
            await bench.write(change=bench.names[:7])
        await bench.followed("follower", "follower.things")
    assert await bench.value("maker", "SELECT count(*) FROM outbox") == 0
    assert await bench.value("maker", "SELECT sum(head - next + 1)::int FROM stream") == 0
    assert await bench.value("maker", "SELECT count(*) FROM publication") == 55
