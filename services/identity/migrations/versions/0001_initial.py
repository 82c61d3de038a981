"""Everything that identity starts with: the libraries' tables and its own."""

from alembic import op

from crm_authz import AUTHZ_1
from crm_events.schema import BUS_1, JOURNAL_1
from crm_web.idempotency import IDEMPOTENCY_1

revision = "0001"
down_revision = None

IDENTITY_1: tuple[str, ...] = (
    """
    CREATE TABLE company (
      id uuid NOT NULL,
      version integer NOT NULL,
      name text NOT NULL,
      time_zone text NOT NULL,
      currency text NOT NULL,
      locale text NOT NULL,
      created_at timestamptz NOT NULL,
      updated_at timestamptz NOT NULL,
      CONSTRAINT pk_company PRIMARY KEY (id)
    )
    """,
    "CREATE UNIQUE INDEX uq_company_one ON company ((true))",
    """
    CREATE TABLE role (
      id uuid NOT NULL,
      version integer NOT NULL,
      name text NOT NULL,
      description text NOT NULL,
      shipped text,
      permissions text[] NOT NULL,
      scopes jsonb NOT NULL,
      epoch integer NOT NULL,
      created_at timestamptz NOT NULL,
      updated_at timestamptz NOT NULL,
      deleted_at timestamptz,
      CONSTRAINT pk_role PRIMARY KEY (id),
      CONSTRAINT uq_role_shipped UNIQUE (shipped)
    )
    """,
    """
    CREATE TABLE department_set (
      id uuid NOT NULL,
      version integer NOT NULL,
      name text NOT NULL,
      departments uuid[] NOT NULL,
      subtrees uuid[] NOT NULL,
      created_at timestamptz NOT NULL,
      updated_at timestamptz NOT NULL,
      deleted_at timestamptz,
      CONSTRAINT pk_department_set PRIMARY KEY (id)
    )
    """,
    """
    CREATE TABLE department (
      id uuid NOT NULL,
      version integer NOT NULL,
      name text NOT NULL,
      parent_id uuid,
      manager_id uuid,
      business_area text NOT NULL,
      position integer NOT NULL,
      path uuid[] NOT NULL,
      external_system text,
      external_id text,
      created_at timestamptz NOT NULL,
      updated_at timestamptz NOT NULL,
      deleted_at timestamptz,
      CONSTRAINT pk_department PRIMARY KEY (id),
      CONSTRAINT fk_department_parent_id FOREIGN KEY(parent_id) REFERENCES department (id)
    )
    """,
    "CREATE INDEX ix_department_parent_id ON department (parent_id)",
    "CREATE UNIQUE INDEX uq_department_external ON department (external_system, external_id) WHERE deleted_at IS NULL",
    "CREATE UNIQUE INDEX uq_department_root ON department ((true)) WHERE parent_id IS NULL",
    """
    CREATE TABLE app_user (
      id uuid NOT NULL,
      version integer NOT NULL,
      name text NOT NULL,
      name_key text NOT NULL,
      email text,
      email_key text,
      mobile text,
      gender text,
      department_id uuid NOT NULL,
      position text,
      superior_id uuid,
      role_ids uuid[] NOT NULL,
      super_admin boolean NOT NULL,
      status text NOT NULL,
      locale text,
      time_zone text,
      epoch integer NOT NULL,
      external_system text,
      external_id text,
      created_at timestamptz NOT NULL,
      updated_at timestamptz NOT NULL,
      CONSTRAINT pk_app_user PRIMARY KEY (id),
      CONSTRAINT ck_app_user_login CHECK (email_key IS NOT NULL OR mobile IS NOT NULL),
      CONSTRAINT ck_app_user_status CHECK (status IN ('pending_activation', 'active', 'inactive', 'dismissed')),
      CONSTRAINT ck_app_user_superior CHECK (superior_id <> id),
      CONSTRAINT uq_app_user_external_system_external_id UNIQUE (external_system, external_id),
      CONSTRAINT uq_app_user_email_key UNIQUE (email_key),
      CONSTRAINT uq_app_user_mobile UNIQUE (mobile),
      CONSTRAINT fk_app_user_department_id FOREIGN KEY(department_id) REFERENCES department (id),
      CONSTRAINT fk_app_user_superior_id FOREIGN KEY(superior_id) REFERENCES app_user (id)
    )
    """,
    "CREATE INDEX ix_app_user_department_id ON app_user (department_id)",
    "CREATE INDEX ix_app_user_name_key_id ON app_user (name_key, id)",
    "CREATE INDEX ix_app_user_superior_id ON app_user (superior_id)",
    """
    CREATE TABLE credential (
      user_id uuid NOT NULL,
      password_hash text,
      changed_at timestamptz,
      activation_hash bytea,
      activation_expires_at timestamptz,
      CONSTRAINT pk_credential PRIMARY KEY (user_id),
      CONSTRAINT fk_credential_user_id FOREIGN KEY(user_id) REFERENCES app_user (id),
      CONSTRAINT uq_credential_activation_hash UNIQUE (activation_hash)
    )
    """,
    """
    CREATE TABLE login_session (
      id uuid NOT NULL,
      version integer NOT NULL,
      user_id uuid NOT NULL,
      client text NOT NULL,
      address text,
      user_agent text,
      started_at timestamptz NOT NULL,
      expires_at timestamptz NOT NULL,
      ended_at timestamptz,
      reason text,
      CONSTRAINT pk_login_session PRIMARY KEY (id),
      CONSTRAINT fk_login_session_user_id FOREIGN KEY(user_id) REFERENCES app_user (id)
    )
    """,
    "CREATE INDEX ix_login_session_user_id_open ON login_session (user_id) WHERE ended_at IS NULL",
    """
    CREATE TABLE refresh_token (
      token_hash bytea NOT NULL,
      session_id uuid NOT NULL,
      issued_at timestamptz NOT NULL,
      expires_at timestamptz NOT NULL,
      used_at timestamptz,
      CONSTRAINT pk_refresh_token PRIMARY KEY (token_hash),
      CONSTRAINT fk_refresh_token_session_id FOREIGN KEY(session_id) REFERENCES login_session (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX ix_refresh_token_session_id ON refresh_token (session_id)",
    """
    CREATE TABLE login_guard (
      subject text NOT NULL,
      failures integer NOT NULL,
      last_at timestamptz NOT NULL,
      blocked_until timestamptz,
      CONSTRAINT pk_login_guard PRIMARY KEY (subject)
    )
    """,
    "CREATE INDEX ix_login_guard_last_at ON login_guard (last_at)",
    """
    CREATE TABLE signing_key (
      id uuid NOT NULL,
      version integer NOT NULL,
      kid text NOT NULL,
      jwk jsonb NOT NULL,
      private_pem text NOT NULL,
      created_at timestamptz NOT NULL,
      signs_from timestamptz NOT NULL,
      not_after timestamptz,
      CONSTRAINT pk_signing_key PRIMARY KEY (id),
      CONSTRAINT uq_signing_key_kid UNIQUE (kid)
    )
    """,
    "ALTER TABLE department ADD CONSTRAINT fk_department_manager_id FOREIGN KEY(manager_id) REFERENCES app_user (id)",
)


def upgrade() -> None:
    for statement in (*JOURNAL_1, *BUS_1, *AUTHZ_1, *IDEMPOTENCY_1, *IDENTITY_1):
        op.execute(statement)
