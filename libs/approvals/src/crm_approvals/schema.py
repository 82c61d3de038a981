"""The tables of this library as DDL, one frozen tuple per step; a service's migration runs the steps it lacks in order.

A released step is never edited: a change is a new step. A test compares the result with the tables that the code declares.
"""

#: Approvals and their steps; what was submitted can't be changed any more, whoever tries.
APPROVALS_1: tuple[str, ...] = (
    """
    CREATE TABLE approval (
      id uuid NOT NULL,
      version integer NOT NULL,
      subject_type text NOT NULL,
      subject_id uuid NOT NULL,
      subject_version integer NOT NULL,
      title text NOT NULL,
      snapshot jsonb NOT NULL,
      snapshot_digest text NOT NULL,
      submitted_by uuid NOT NULL,
      submitted_at timestamptz NOT NULL,
      comment text,
      status text NOT NULL,
      current_step integer NOT NULL,
      ended_at timestamptz,
      CONSTRAINT pk_approval PRIMARY KEY (id),
      CONSTRAINT ck_approval_status CHECK (status IN ('pending', 'approved', 'rejected', 'withdrawn')),
      CONSTRAINT ck_approval_ended CHECK ((ended_at IS NULL) = (status = 'pending'))
    )
    """,
    "CREATE INDEX ix_approval_submitted_by ON approval (submitted_by, submitted_at, id)",
    "CREATE INDEX ix_approval_subject ON approval (subject_type, subject_id, submitted_at)",
    "CREATE UNIQUE INDEX uq_approval_pending ON approval (subject_type, subject_id) WHERE status = 'pending'",
    """
    CREATE TABLE approval_step (
      approval_id uuid NOT NULL,
      step integer NOT NULL,
      part integer NOT NULL,
      approvers uuid[] NOT NULL,
      decided_by uuid,
      decided_at timestamptz,
      decision text,
      comment text,
      decided_on_digest text,
      CONSTRAINT pk_approval_step PRIMARY KEY (approval_id, step, part),
      CONSTRAINT ck_approval_step_decision CHECK (decision IN ('approve', 'reject')),
      CONSTRAINT ck_approval_step_decided CHECK (num_nulls(decided_by, decided_at, decision, decided_on_digest) IN (0, 4)),
      CONSTRAINT fk_approval_step_approval_id FOREIGN KEY (approval_id) REFERENCES approval (id)
    )
    """,
    "CREATE INDEX ix_approval_step_decided_by ON approval_step (decided_by) WHERE decided_by IS NOT NULL",
    "CREATE INDEX ix_approval_step_waiting ON approval_step USING gin (approvers) WHERE decided_by IS NULL",
    # A decision counts for what was submitted: neither a mistake of ours nor a hand in the database may put something else there.
    """
    CREATE FUNCTION crm_approval_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'approval %: what was submitted is frozen', OLD.id USING ERRCODE = 'integrity_constraint_violation';
    END $$
    """,
    """
    CREATE TRIGGER approval_frozen BEFORE UPDATE ON approval FOR EACH ROW
    WHEN (
      (OLD.subject_type, OLD.subject_id, OLD.subject_version, OLD.title, OLD.snapshot, OLD.snapshot_digest,
       OLD.submitted_by, OLD.submitted_at, OLD.comment)
      IS DISTINCT FROM
      (NEW.subject_type, NEW.subject_id, NEW.subject_version, NEW.title, NEW.snapshot, NEW.snapshot_digest,
       NEW.submitted_by, NEW.submitted_at, NEW.comment)
    )
    EXECUTE FUNCTION crm_approval_frozen()
    """,
)
