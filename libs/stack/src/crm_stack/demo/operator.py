"""The first administrator's session for loaders, opened by whoever may read the stack's secrets."""

from pathlib import Path

from crm_stack.layout import Layout


def operator_token(layout: Layout) -> str:
    """A refresh token of the first administrator: who may read the database's secret may have that."""
    from crm_identity.session.operating import open_session

    return open_session(_database_url(layout).read_text().strip())


def _database_url(layout: Layout) -> Path:
    return layout.secrets / "identity.database-url"
