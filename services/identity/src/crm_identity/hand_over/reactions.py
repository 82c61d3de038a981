"""What services tell of their parts in hand-overs."""

from typing import Final

from crm_contracts import Envelope, registry
from crm_contracts.billing import BILLING_HAND_OVERS
from crm_contracts.customers import CUSTOMERS_HAND_OVERS
from crm_contracts.hand_overs import HandOverWorkState
from crm_contracts.sales import SALES_HAND_OVERS
from crm_contracts.support import SUPPORT_HAND_OVERS
from crm_database import WriteSession
from crm_events import Reaction
from crm_identity.hand_over import actions
from crm_sagas import News
from crm_sagas.rules import Fact

_PARTS: Final = (CUSTOMERS_HAND_OVERS, SALES_HAND_OVERS, BILLING_HAND_OVERS, SUPPORT_HAND_OVERS)
#: Event type → whose it is, and what it says.
_TOLD: Final[dict[str, tuple[str, Fact]]] = {
    **{part.progressed.type: (part.service, "progressed") for part in _PARTS},
    **{part.done.type: (part.service, "done") for part in _PARTS},
    **{part.failed.type: (part.service, "failed") for part in _PARTS},
}


async def part_told(session: WriteSession, envelope: Envelope) -> None:
    """Count a service's part in. In any order, twice or late: see crm_sagas.rules."""
    told = _TOLD.get(envelope.type)
    if told is None:
        return
    service, fact = told
    event = registry.events[envelope.type].model_validate_json(envelope.data)
    state: HandOverWorkState = event.state
    news = News(
        step=service,
        attempt=state.attempt,
        version=event.version,
        fact=fact,
        outcome={
            "moved": state.moved,
            "remaining": state.remaining,
            "job_id": None if state.job_id is None else str(state.job_id),
        },
        problem=None if state.problem is None else state.problem.model_dump(),
    )
    await actions.take(session, envelope.subject, news)


REACTIONS: tuple[Reaction, ...] = (
    Reaction(
        group="identity.hand-overs",
        topics=tuple(part.topic.name for part in _PARTS),
        handle=part_told,
        # A step of the saga follows from it: it is a side effect, and never told again.
        projection=False,
        # Each in a transaction of its own: topics are read at once, and several sagas in one would be locked in several orders.
        per_transaction=1,
    ),
)
