"""The tables of this library as DDL, one frozen tuple per step; a service's migration runs the steps it lacks in order.

A released step is never edited: a change is a new step. A test compares the result with the tables that the code declares.
"""

#: Jobs, what they were given, and what became of each row.
JOBS_1: tuple[str, ...] = (
    """
    CREATE TABLE job (
      id uuid NOT NULL,
      version integer NOT NULL,
      kind text NOT NULL,
      state text NOT NULL,
      asked_by uuid NOT NULL,
      client text,
      address text,
      traceparent text,
      parameters jsonb NOT NULL,
      position jsonb,
      total bigint,
      done bigint NOT NULL,
      failed bigint NOT NULL,
      attempts integer NOT NULL,
      waits integer NOT NULL,
      run_after timestamptz NOT NULL,
      leased_by uuid,
      lease_until timestamptz,
      problem jsonb,
      created_at timestamptz NOT NULL,
      started_at timestamptz,
      finished_at timestamptz,
      CONSTRAINT pk_job PRIMARY KEY (id),
      CONSTRAINT ck_job_state CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
      CONSTRAINT ck_job_finished CHECK ((finished_at IS NULL) = (state IN ('queued', 'running'))),
      CONSTRAINT ck_job_leased CHECK (num_nulls(leased_by, lease_until) IN (0, 2))
    )
    """,
    "CREATE INDEX ix_job_asked_by ON job (asked_by, created_at, id)",
    "CREATE INDEX ix_job_due ON job (run_after, id) WHERE state IN ('queued', 'running')",
    "CREATE INDEX ix_job_finished ON job (finished_at) WHERE finished_at IS NOT NULL",
    """
    CREATE TABLE job_input (
      job_id uuid NOT NULL,
      part integer NOT NULL,
      content jsonb NOT NULL,
      CONSTRAINT pk_job_input PRIMARY KEY (job_id, part),
      CONSTRAINT fk_job_input_job_id FOREIGN KEY (job_id) REFERENCES job (id)
    )
    """,
    """
    CREATE TABLE job_row (
      job_id uuid NOT NULL,
      index bigint NOT NULL,
      status text NOT NULL,
      done text,
      record_id uuid,
      record_version integer,
      code text,
      detail text,
      errors jsonb,
      CONSTRAINT pk_job_row PRIMARY KEY (job_id, index),
      CONSTRAINT ck_job_row_status CHECK (status IN ('ok', 'error')),
      CONSTRAINT fk_job_row_job_id FOREIGN KEY (job_id) REFERENCES job (id)
    )
    """,
    "CREATE INDEX ix_job_row_error ON job_row (job_id, index) WHERE status = 'error'",
)

#: Jobs that the product does by itself. The default is for programs of before, which know only the others.
JOBS_2: tuple[str, ...] = (
    "ALTER TABLE job ADD COLUMN authority text NOT NULL DEFAULT 'asker'",
    "ALTER TABLE job ADD CONSTRAINT ck_job_authority CHECK (authority IN ('asker', 'product'))",
)
