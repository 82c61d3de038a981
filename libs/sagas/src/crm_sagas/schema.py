"""The tables of this library as DDL, one frozen tuple per step; a service's migration runs the steps it lacks in order.

A released step is never edited: a change is a new step. A test compares the result with the tables that the code declares.
"""

#: Sagas and their steps.
SAGAS_1: tuple[str, ...] = (
    """
    CREATE TABLE saga (
      id uuid NOT NULL,
      version integer NOT NULL,
      kind text NOT NULL,
      state text NOT NULL,
      about uuid NOT NULL,
      data jsonb NOT NULL,
      asked_by uuid,
      asked_at timestamptz NOT NULL,
      ended_at timestamptz,
      CONSTRAINT pk_saga PRIMARY KEY (id),
      CONSTRAINT ck_saga_state CHECK (state IN ('running', 'succeeded', 'failed', 'cancelled')),
      CONSTRAINT ck_saga_ended CHECK ((ended_at IS NULL) = (state = 'running'))
    )
    """,
    "CREATE UNIQUE INDEX uq_saga_open ON saga (kind, about) WHERE state IN ('running', 'failed')",
    "CREATE INDEX ix_saga_about ON saga (about, asked_at, id)",
    "CREATE INDEX ix_saga_newest ON saga (kind, (state = 'running') DESC, asked_at DESC, id DESC)",
    """
    CREATE TABLE saga_step (
      saga_id uuid NOT NULL,
      name text NOT NULL,
      stage integer NOT NULL,
      state text NOT NULL,
      attempt integer NOT NULL,
      tries integer NOT NULL,
      asked_at timestamptz,
      due_at timestamptz,
      heard integer NOT NULL,
      outcome jsonb NOT NULL,
      problem jsonb,
      CONSTRAINT pk_saga_step PRIMARY KEY (saga_id, name),
      CONSTRAINT ck_saga_step_state CHECK (state IN ('waiting', 'asked', 'done', 'failed', 'cancelled')),
      CONSTRAINT ck_saga_step_due CHECK ((due_at IS NOT NULL) = (state = 'asked')),
      CONSTRAINT ck_saga_step_problem CHECK ((problem IS NOT NULL) = (state = 'failed')),
      CONSTRAINT fk_saga_step_saga_id FOREIGN KEY (saga_id) REFERENCES saga (id)
    )
    """,
    "CREATE INDEX ix_saga_step_due ON saga_step (due_at) WHERE due_at IS NOT NULL",
)
