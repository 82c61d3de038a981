"""The tables of hand-overs as DDL, one frozen tuple per step; a service's migration runs the steps it lacks in order.

A released step is never edited: a change is a new step. A test compares the result with the tables that the code declares.
"""

#: What a service was asked to hand over, and how far it is.
HAND_OVERS_1: tuple[str, ...] = (
    """
    CREATE TABLE hand_over (
      id uuid NOT NULL,
      version integer NOT NULL,
      user_id uuid NOT NULL,
      user_epoch integer NOT NULL,
      successor_id uuid NOT NULL,
      successor_epoch integer NOT NULL,
      attempt integer NOT NULL,
      status text NOT NULL,
      asked_by uuid NOT NULL,
      asked_at timestamptz NOT NULL,
      told_at timestamptz NOT NULL,
      ended_at timestamptz,
      job_id uuid,
      problem jsonb,
      CONSTRAINT pk_hand_over PRIMARY KEY (id),
      CONSTRAINT ck_hand_over_status CHECK (status IN ('running', 'done', 'failed', 'cancelled')),
      CONSTRAINT ck_hand_over_ended CHECK ((ended_at IS NULL) = (status = 'running')),
      CONSTRAINT ck_hand_over_problem CHECK ((problem IS NOT NULL) = (status = 'failed'))
    )
    """,
    """
    CREATE TABLE hand_over_count (
      hand_over_id uuid NOT NULL,
      record_type text NOT NULL,
      moved bigint NOT NULL,
      remaining bigint NOT NULL,
      CONSTRAINT pk_hand_over_count PRIMARY KEY (hand_over_id, record_type),
      CONSTRAINT fk_hand_over_count_hand_over_id FOREIGN KEY (hand_over_id) REFERENCES hand_over (id)
    )
    """,
)
