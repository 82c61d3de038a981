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

#: Relay and consumer: numberings, publication numbers, watermarks, inbox, dead letters, schedules.
BUS_1: tuple[str, ...] = (
    # Rows come and go by the thousand; without early vacuums the index's front would be dead entries.
    "ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000)",
    """
    CREATE TABLE stream (
      id uuid NOT NULL,
      topic text NOT NULL,
      partition integer NOT NULL,
      current boolean NOT NULL,
      head bigint NOT NULL,
      acknowledged bigint NOT NULL,
      next bigint NOT NULL,
      server text NOT NULL,
      started_at timestamptz NOT NULL,
      CONSTRAINT pk_stream PRIMARY KEY (id)
    )
    """,
    "CREATE UNIQUE INDEX uq_stream_topic_partition ON stream (topic, partition) WHERE current",
    """
    CREATE TABLE publication (
      stream_id uuid NOT NULL,
      number bigint NOT NULL,
      event_id uuid NOT NULL,
      tombstone boolean DEFAULT false NOT NULL,
      CONSTRAINT pk_publication PRIMARY KEY (stream_id, number)
    )
    """,
    """
    CREATE TABLE sent_range (
      id bigint GENERATED ALWAYS AS IDENTITY,
      stream_id uuid NOT NULL,
      first bigint NOT NULL,
      last bigint NOT NULL,
      base_offset bigint NOT NULL,
      CONSTRAINT pk_sent_range PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_sent_range_stream_id_first ON sent_range (stream_id, first)",
    """
    CREATE TABLE group_report (
      group_name text NOT NULL,
      topic text NOT NULL,
      partition integer NOT NULL,
      service text NOT NULL,
      stream text NOT NULL,
      watermark bigint NOT NULL,
      heard_at timestamptz NOT NULL,
      CONSTRAINT pk_group_report PRIMARY KEY (group_name, topic, partition)
    )
    """,
    """
    CREATE TABLE watermark (
      group_name text NOT NULL,
      topic text NOT NULL,
      partition integer NOT NULL,
      stream text NOT NULL,
      number bigint NOT NULL,
      blocked integer NOT NULL,
      updated_at timestamptz NOT NULL,
      CONSTRAINT pk_watermark PRIMARY KEY (group_name, topic, partition)
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE inbox (
      event_id uuid NOT NULL,
      group_name text NOT NULL,
      topic text NOT NULL,
      write_id uuid,
      CONSTRAINT pk_inbox PRIMARY KEY (event_id, group_name)
    ) PARTITION BY RANGE (event_id)
    """,
    "CREATE TABLE inbox_rest PARTITION OF inbox DEFAULT",
    "CREATE INDEX ix_inbox_write_id ON inbox (write_id)",
    """
    CREATE TABLE dead_letter (
      group_name text NOT NULL,
      event_id uuid NOT NULL,
      topic text NOT NULL,
      partition integer NOT NULL,
      stream text NOT NULL,
      number bigint NOT NULL,
      key uuid NOT NULL,
      type text NOT NULL,
      headers jsonb NOT NULL,
      value bytea NOT NULL,
      reason text NOT NULL,
      trace text NOT NULL,
      attempts integer NOT NULL,
      failed_at timestamptz NOT NULL,
      state text NOT NULL,
      settled_at timestamptz,
      announced boolean DEFAULT false NOT NULL,
      CONSTRAINT pk_dead_letter PRIMARY KEY (group_name, event_id),
      CONSTRAINT ck_dead_letter_state CHECK (state IN ('waiting', 'retry', 'discard', 'retried', 'discarded'))
    )
    """,
    """
    CREATE INDEX ix_dead_letter_group_name_topic_partition ON dead_letter (group_name, topic, partition)
      WHERE state IN ('waiting', 'retry', 'discard')
    """,
    """
    CREATE TABLE parked (
      group_name text NOT NULL,
      event_id uuid NOT NULL,
      topic text NOT NULL,
      partition integer NOT NULL,
      stream text NOT NULL,
      number bigint NOT NULL,
      key uuid NOT NULL,
      type text NOT NULL,
      headers jsonb NOT NULL,
      value bytea NOT NULL,
      CONSTRAINT pk_parked PRIMARY KEY (group_name, event_id)
    )
    """,
    "CREATE INDEX ix_parked_group_name_topic_key ON parked (group_name, topic, key)",
    """
    CREATE TABLE schedule_run (
      name text NOT NULL,
      due_at timestamptz NOT NULL,
      CONSTRAINT pk_schedule_run PRIMARY KEY (name)
    )
    """,
)

#: Resync: what this service asked for, what it answers, which records of its replicas lack something.
RESYNC_1: tuple[str, ...] = (
    """
    CREATE TABLE resync_request (
      id uuid NOT NULL,
      group_name text NOT NULL,
      topic text NOT NULL,
      kind text NOT NULL,
      ids uuid[],
      since uuid,
      types text[],
      prune boolean NOT NULL,
      reason text NOT NULL,
      state text NOT NULL,
      attempt integer NOT NULL,
      cursor text,
      applied bigint NOT NULL,
      refused bigint NOT NULL,
      unknown bigint NOT NULL,
      total bigint,
      problem text,
      asked_at timestamptz NOT NULL,
      sent_at timestamptz,
      heard_at timestamptz,
      finished_at timestamptz,
      CONSTRAINT pk_resync_request PRIMARY KEY (id),
      CONSTRAINT ck_resync_request_kind CHECK (kind IN ('state', 'journal')),
      CONSTRAINT ck_resync_request_state CHECK (state IN ('asked', 'running', 'complete', 'failed'))
    )
    """,
    "CREATE INDEX ix_resync_request_open ON resync_request (asked_at) WHERE state IN ('asked', 'running')",
    """
    CREATE TABLE resync_seen (
      request_id uuid NOT NULL,
      subject uuid NOT NULL,
      CONSTRAINT pk_resync_seen PRIMARY KEY (request_id, subject)
    )
    """,
    """
    CREATE TABLE resync_answer (
      request_id uuid NOT NULL,
      attempt integer NOT NULL,
      group_name text NOT NULL,
      topic text NOT NULL,
      kind text NOT NULL,
      ids uuid[],
      since uuid,
      types text[],
      cursor text,
      sent bigint NOT NULL,
      taken bigint NOT NULL,
      complete boolean NOT NULL,
      heard_at timestamptz NOT NULL,
      CONSTRAINT pk_resync_answer PRIMARY KEY (request_id)
    )
    """,
    """
    CREATE TABLE resync_gap (
      group_name text NOT NULL,
      topic text NOT NULL,
      subject uuid NOT NULL,
      known integer NOT NULL,
      told integer NOT NULL,
      noticed_at timestamptz NOT NULL,
      asked_at timestamptz,
      CONSTRAINT pk_resync_gap PRIMARY KEY (group_name, topic, subject)
    )
    """,
    "CREATE INDEX ix_resync_gap_waiting ON resync_gap (noticed_at) WHERE asked_at IS NULL",
)

#: Months of the journal in object storage.
ARCHIVE_1: tuple[str, ...] = (
    """
    CREATE TABLE journal_archive (
      month date NOT NULL,
      state text NOT NULL,
      run uuid NOT NULL,
      begun_at timestamptz NOT NULL,
      finished_at timestamptz,
      CONSTRAINT pk_journal_archive PRIMARY KEY (month),
      CONSTRAINT ck_journal_archive_state CHECK (state IN ('writing', 'archived', 'restoring', 'restored'))
    )
    """,
    """
    CREATE TABLE journal_frame (
      first uuid NOT NULL,
      last uuid NOT NULL,
      month date NOT NULL,
      file text NOT NULL,
      start bigint NOT NULL,
      length integer NOT NULL,
      events integer NOT NULL,
      sha256 text NOT NULL,
      CONSTRAINT pk_journal_frame PRIMARY KEY (first)
    )
    """,
    "CREATE INDEX ix_journal_frame_month_first ON journal_frame (month, first)",
)
