"""A service's migrations: `upgrade(service, dsn)` brings its database to the version of this code."""

import importlib
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config


def versions_folder(service: str) -> Path:
    """Where a service keeps its migrations: `services/<service>/migrations/versions`, beside its `src`."""
    package = importlib.import_module(f"crm_{service}")
    if package.__file__ is None:
        raise RuntimeError(f"crm_{service} has no folder")
    return Path(package.__file__).parents[2] / "migrations" / "versions"


def configuration(service: str, dsn: str) -> Config:
    """Alembic's configuration for one service's database."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "alembic").replace("%", "%%"))
    config.set_main_option("version_locations", str(versions_folder(service)).replace("%", "%%"))
    config.set_main_option("path_separator", "newline")
    config.attributes["dsn"] = dsn
    return config


def upgrade(service: str, dsn: str) -> None:
    """Run what is missing; nothing on a database that newer code has migrated. Several processes may call it at once: they take turns."""
    command.upgrade(configuration(service, dsn), "head")


if __name__ == "__main__":
    import os

    upgrade(sys.argv[1], os.environ["CRM_DATABASE_URL"])
