"""The environment of a service's process on one machine; the same names as in a container."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from crm_stack.api_documents import folder_of
from crm_stack.layout import Layout
from crm_stack.options import StackOptions
from crm_stack.ports import LOOPBACK

KEY_SECRET = "identity.key-secret"
"""The secret's file: with it identity encrypts the private signing keys in its database."""
# What steers Python or PostgreSQL's library in the person's shell is not meant for our processes; the password of the
# first administrator is for the start alone.
_NOT_HANDED_ON = ("PYTHON", "PG", "CRM_ADMIN_")


def inherited(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """What our processes take over from the person's shell: OTEL_*, CRM_*, proxies, languages, all but a few."""
    given = os.environ if environment is None else environment
    return {name: value for name, value in given.items() if not name.startswith(_NOT_HANDED_ON)}


def service_environment(
    options: StackOptions, service: str, port: int, *, address: str, kafka: str, idempotent: bool
) -> dict[str, str]:
    """All settings of one process of `service` that listens on `port`. Secrets are named by file (`…_FILE`)."""
    layout = options.layout
    settings = {
        "CRM_SERVICE": service,
        "CRM_DATABASE_URL_FILE": str(database_url_file(layout, service)),
        "CRM_KAFKA_BOOTSTRAP": kafka,
        "CRM_KAFKA_IDEMPOTENCE": "true" if idempotent else "false",
        "CRM_HTTP_HOST": LOOPBACK,
        "CRM_HTTP_PORT": str(port),
        "CRM_PUBLIC_URL": address,
        "CRM_SERVICES": ",".join((*options.services, *options.beside)),
        "CRM_SIGNING_KEY_FILE": str(layout.secret("signing-key")),
        "CRM_ARCHIVE_URL": os.environ.get("CRM_ARCHIVE_URL") or layout.archive.absolute().as_uri(),
    }
    if service == "identity":
        settings["CRM_KEY_SECRET_FILE"] = str(layout.secret(KEY_SECRET))
        if options.documents is not None:
            settings["CRM_DOCUMENTS_DIR"] = str(folder_of(options))
    log_level = os.environ.get("CRM_LOG_LEVEL", options.log_level)
    # A setting given both ways would be ambiguous: ours are the files.
    ambiguous = {"CRM_DATABASE_URL", "CRM_SIGNING_KEY", "CRM_KEY_SECRET"}
    rest = {name: value for name, value in inherited().items() if name not in ambiguous}
    return {**rest, "CRM_LOG_LEVEL": log_level, **settings, **options.environment}


def database_url_file(layout: Layout, service: str) -> Path:
    """Where the connection URL of a service's own database stands."""
    return layout.secrets / f"{service}.database-url"
