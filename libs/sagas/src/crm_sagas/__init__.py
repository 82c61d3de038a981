"""Sagas: changes over several services, as a state machine in the service that starts them (docs/architecture/sagas.md).

What is listed here is public.
"""

from crm_sagas.actions import cancel_saga, lock_saga, resume_saga, start_saga, take_news
from crm_sagas.deadlines import deadlines
from crm_sagas.kind import SagaKind
from crm_sagas.observing import Observing as SagasObserving
from crm_sagas.rules import News, NothingToResume, Saga, SagaOver, SagaStep
from crm_sagas.schema import SAGAS_1

__all__ = [
    "SAGAS_1",
    "News",
    "NothingToResume",
    "Saga",
    "SagaKind",
    "SagaOver",
    "SagaStep",
    "SagasObserving",
    "cancel_saga",
    "deadlines",
    "lock_saga",
    "resume_saga",
    "start_saga",
    "take_news",
]
