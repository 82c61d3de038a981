"""The tables of this library as DDL, one frozen tuple per step; a service's migration runs the steps it lacks in order.

A released step is never edited: a change is a new step. A test compares the result with the tables that the code declares.
"""

#: The journal and the outbox.
JOURNAL_1: tuple[str, ...] = (
    """
    CREATE TABLE journal (
      event_id uuid NOT NULL,
      topic text NOT NULL,
      type text NOT NULL,
      subject uuid NOT NULL,
      version integer NOT NULL,
      time timestamptz NOT NULL,
      occurred_at timestamptz NOT NULL,
      write_id uuid NOT NULL,
      actor_id uuid,
      traceparent text,
      data jsonb NOT NULL,
      CONSTRAINT pk_journal PRIMARY KEY (event_id)
    ) PARTITION BY RANGE (event_id)
    """,
    # Ids outside the months that exist yet; the worker makes months ahead of time, so it stays empty.
    "CREATE TABLE journal_rest PARTITION OF journal DEFAULT",
    "CREATE INDEX ix_journal_subject_event_id ON journal (subject, event_id)",
    """
    CREATE TABLE outbox (
      position bigint GENERATED ALWAYS AS IDENTITY (CACHE 1),
      event_id uuid NOT NULL,
      topic text NOT NULL,
      subject uuid NOT NULL,
      CONSTRAINT pk_outbox PRIMARY KEY (position),
      CONSTRAINT uq_outbox_event_id UNIQUE (event_id)
    )
    """,
)
