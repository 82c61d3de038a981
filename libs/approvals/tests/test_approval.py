"""What a subject's reaction is told."""

import datetime as dt
import uuid
from dataclasses import replace

from crm_approvals import Approval, ApprovalStep
from crm_kernel import new_id

from .conftest import NOW

FIRST = ApprovalStep(step=1, part=1, approvers=(uuid.UUID(int=1),))
PENDING = Approval(
    id=new_id(),
    version=1,
    subject_type="office.memo",
    subject_id=new_id(),
    subject_version=3,
    title="A memo",
    snapshot={"sum": 1},
    snapshot_digest="d",
    submitted_by=uuid.UUID(int=2),
    submitted_at=NOW,
    comment=None,
    status="pending",
    current_step=1,
    ended_at=None,
    steps=(FIRST,),
)


def test_the_last_decision_is_the_latest_of_those_made() -> None:
    assert PENDING.last_decision is None
    early = replace(FIRST, decided_at=NOW, decision="approve")
    late = replace(FIRST, step=2, decided_at=NOW + dt.timedelta(hours=1), decision="reject")
    waiting = replace(FIRST, step=3)
    assert replace(PENDING, steps=(early, late, waiting)).last_decision is late
    assert replace(PENDING, steps=(late, early)).last_decision is late


def test_its_state_has_everything_but_what_was_submitted() -> None:
    state = PENDING.state().model_dump()
    own = {name: getattr(PENDING, name) for name in PENDING.__dataclass_fields__}
    for name in ("id", "version", "snapshot", "steps"):
        del own[name]
    steps = state.pop("steps")
    assert state == own
    assert steps == [{**vars(FIRST), "approvers": list(FIRST.approvers)}]
