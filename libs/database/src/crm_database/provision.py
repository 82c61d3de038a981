"""A service's role and database on a server that we administer; done once, repeated without harm.

The local stack does the same with psql (crm_stack.postgres), because its supervisor loads no driver; a test compares the two.
"""

from urllib.parse import unquote, urlsplit

import asyncpg

#: What our tables need in every database.
EXTENSIONS = ("pg_trgm", "btree_gin")

#: The password is part of a statement: no setting of the server may write it into the server's log or statistics.
_IN_CONFIDENCE = """
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_duration_sample = -1;
SET log_transaction_sample_rate = 0;
SET log_min_error_statement = 'panic';
SET pg_stat_statements.track_utility = off;
"""
_ROLE = """
DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
ALTER ROLE {role} WITH LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {password};
REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;
"""


async def provision(superuser_dsn: str, service_dsn: str) -> None:
    """Make the role and the database that `service_dsn` names, as far as they are missing; the role gets that password.

    Nobody but the owner and superusers can connect to the database. The `EXTENSIONS` are in it. Several services may do this at
    once on one server. The password never gets into the server's log. OSError or asyncpg's errors when the server is away or refuses.
    """
    wanted = urlsplit(service_dsn)
    name, owner = unquote(wanted.path.removeprefix("/")), unquote(wanted.username or "")
    server = await asyncpg.connect(superuser_dsn)
    try:
        await server.execute(_IN_CONFIDENCE)
        role, database, password = await server.fetchval(
            "SELECT ARRAY[quote_ident($1), quote_ident($2), quote_literal($3)]",
            *(owner, name, unquote(wanted.password or "")),
        )
        # Jobs change the same rights of `postgres` and `template1`, or make the same things: one after the other.
        await server.execute("SELECT pg_advisory_lock(hashtext('crm.provision'))")
        await server.execute(_ROLE.format(role=role, password=password))
        if not await server.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name):
            await server.execute(f"CREATE DATABASE {database} OWNER {role} TEMPLATE template1")
        await server.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
        inside = await asyncpg.connect(superuser_dsn, database=name)
        try:
            for extension in EXTENSIONS:
                await inside.execute(f"CREATE EXTENSION IF NOT EXISTS {extension}")
        finally:
            await inside.close()
    finally:
        # The lock goes with the connection.
        await server.close()
