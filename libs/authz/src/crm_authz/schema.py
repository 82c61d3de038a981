"""The tables of this library as DDL, one frozen tuple per step; a service's migration runs the steps it lacks in order.

A released step is never edited: a change is a new step. A test compares the result with the tables that the code declares.
"""

#: The directory replica and the members of records.
AUTHZ_1: tuple[str, ...] = (
    """
    CREATE TABLE directory_user (
      id uuid NOT NULL,
      version integer NOT NULL,
      name text NOT NULL,
      status text NOT NULL,
      department_id uuid NOT NULL,
      position text,
      superior_id uuid,
      role_ids uuid[] NOT NULL,
      group_ids uuid[] NOT NULL,
      super_admin boolean NOT NULL,
      locale text,
      time_zone text,
      epoch integer NOT NULL,
      changed_at_version bigint NOT NULL,
      CONSTRAINT pk_directory_user PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_directory_user_changed_at_version ON directory_user (changed_at_version)",
    """
    CREATE TABLE directory_department (
      id uuid NOT NULL,
      version integer NOT NULL,
      name text NOT NULL,
      parent_id uuid,
      manager_id uuid,
      business_area text NOT NULL,
      position integer NOT NULL,
      path uuid[] NOT NULL,
      deleted boolean NOT NULL,
      changed_at_version bigint NOT NULL,
      CONSTRAINT pk_directory_department PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_directory_department_changed_at_version ON directory_department (changed_at_version)",
    """
    CREATE TABLE directory_role (
      id uuid NOT NULL,
      version integer NOT NULL,
      name text NOT NULL,
      shipped text,
      permissions text[] NOT NULL,
      scopes jsonb NOT NULL,
      epoch integer NOT NULL,
      deleted boolean NOT NULL,
      changed_at_version bigint NOT NULL,
      CONSTRAINT pk_directory_role PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_directory_role_changed_at_version ON directory_role (changed_at_version)",
    """
    CREATE TABLE directory_set (
      id uuid NOT NULL,
      version integer NOT NULL,
      name text NOT NULL,
      departments uuid[] NOT NULL,
      subtrees uuid[] NOT NULL,
      deleted boolean NOT NULL,
      changed_at_version bigint NOT NULL,
      CONSTRAINT pk_directory_set PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_directory_set_changed_at_version ON directory_set (changed_at_version)",
    """
    CREATE TABLE directory_session_end (
      id uuid NOT NULL,
      version integer NOT NULL,
      ended_at timestamptz NOT NULL,
      forget_at timestamptz NOT NULL,
      changed_at_version bigint NOT NULL,
      CONSTRAINT pk_directory_session_end PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_directory_session_end_changed_at_version ON directory_session_end (changed_at_version)",
    """
    CREATE TABLE directory_key (
      id uuid NOT NULL,
      version integer NOT NULL,
      kid text NOT NULL,
      jwk jsonb NOT NULL,
      not_after timestamptz,
      changed_at_version bigint NOT NULL,
      CONSTRAINT pk_directory_key PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_directory_key_changed_at_version ON directory_key (changed_at_version)",
    """
    CREATE TABLE directory_company (
      id uuid NOT NULL,
      version integer NOT NULL,
      name text NOT NULL,
      time_zone text NOT NULL,
      currency text NOT NULL,
      locale text NOT NULL,
      changed_at_version bigint NOT NULL,
      CONSTRAINT pk_directory_company PRIMARY KEY (id)
    )
    """,
    "CREATE INDEX ix_directory_company_changed_at_version ON directory_company (changed_at_version)",
    """
    CREATE TABLE directory_version (
      "only" boolean NOT NULL,
      version bigint NOT NULL,
      heard_at timestamptz,
      CONSTRAINT pk_directory_version PRIMARY KEY ("only"),
      CONSTRAINT ck_directory_version_one_row CHECK ("only")
    )
    """,
    'INSERT INTO directory_version ("only", version, heard_at) VALUES (true, 0, NULL)',
    """
    CREATE TABLE record_member (
      record_type text NOT NULL,
      record_id uuid NOT NULL,
      user_id uuid NOT NULL,
      "right" text NOT NULL,
      expires_at timestamptz,
      CONSTRAINT pk_record_member PRIMARY KEY (record_type, record_id, user_id),
      CONSTRAINT ck_record_member_right CHECK ("right" IN ('read', 'write'))
    )
    """,
    """
    CREATE INDEX ix_record_member_user_id_record_type ON record_member (user_id, record_type)
      INCLUDE (record_id, "right", expires_at)
    """,
)
