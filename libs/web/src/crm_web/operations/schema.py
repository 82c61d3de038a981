"""The table of operator acts as DDL, one frozen tuple per step; a service's migration runs the steps it lacks in order.

A released step is never edited: a change is a new step. A test compares the result with the table that the code declares.
"""

#: What operators asked for.
OPERATIONS_1: tuple[str, ...] = (
    """
    CREATE TABLE operation (
      id uuid NOT NULL,
      version integer NOT NULL,
      kind text NOT NULL,
      groups text[] NOT NULL,
      event_id uuid,
      reason text,
      asked_by uuid NOT NULL,
      asked_at timestamptz NOT NULL,
      CONSTRAINT pk_operation PRIMARY KEY (id),
      CONSTRAINT ck_operation_kind CHECK (kind IN ('dead_letter.retry', 'dead_letter.discard', 'resync'))
    )
    """,
    "CREATE INDEX ix_operation_event_id ON operation (event_id) WHERE event_id IS NOT NULL",
)
