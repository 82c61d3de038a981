"""Record changes, and let identity itself know at once.

Identity's own requests are checked against the same directory replica as everybody else's. The other services hear of a change
over the bus; identity applies it to its own replica in the transaction that makes it, so it refuses from the commit on (ID-24).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from crm_authz.reactions import DIRECTORY_TOPICS, apply_state
from crm_contracts import Event
from crm_contracts.events import Part
from crm_database import WriteSession
from crm_events.record import Step, record


async def announce(session: WriteSession, steps: Sequence[Step]) -> None:
    """`record(steps)`, and the same facts applied to identity's own directory. Raises what `record` raises.

    From here to its end the transaction holds the directory's version row: lock every other row before (user, then session).
    """
    if not steps:
        return
    await record(session, steps)
    for step in steps:
        if step.event.topic in DIRECTORY_TOPICS:
            version = session.held[step.table.name, step.id]
            await apply_state(session, step.event.topic, step.id, version, _state(step.event, step.state))


def _state(event: type[Event[Any]], given: Mapping[str, Any] | Part | Any) -> Part:
    """The state as the contract's model."""
    model = event.model_fields["state"].annotation
    if not (isinstance(model, type) and issubclass(model, Part)):
        raise TypeError(f"{event.type} has no state")
    return given if isinstance(given, model) else model.model_validate(given)
