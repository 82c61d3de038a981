"""All metrics of this library, in one list. They are read from the service's database by its worker."""

from crm_database.measuring import Measures

MEASURES = Measures("crm_sagas")

sagas_open = MEASURES.observed(
    "crm.sagas.open",
    unit="{saga}",
    labels=["kind", "state"],
    meaning="sagas that have not ended for good; state: `running`, or `failed` until somebody resumes or cancels them",
)
sagas_age = MEASURES.observed(
    "crm.sagas.age",
    unit="s",
    labels=["kind"],
    meaning="how long ago the oldest running saga was begun; 0 when none runs",
)
