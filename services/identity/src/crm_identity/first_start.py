"""The company and its first administrator, for a deployment: `python -m crm_identity.first_start`, after the migrations (ID-1).

Where there is a company already, it changes nothing. Exit status: 0 done, or already done; 1 refused or failed; 2 wrong settings.
"""

import sys
from typing import Annotated

import asyncpg
from pydantic import Field, SecretStr

from crm_identity.bootstrap import bootstrap
from crm_kernel import Refusal
from crm_web.settings import DatabaseUrl, FromEnvironment, SettingsInvalid


class FirstStartSettings(FromEnvironment):
    """Who the first administrator is, and what the company is called."""

    database_url: Annotated[DatabaseUrl, Field(description="Identity's database.")]
    admin_email: Annotated[str, Field(description="The first administrator's e-mail address, to log in with.")]
    admin_password: Annotated[SecretStr, Field(description="Their first password.")]
    admin_name: Annotated[str, Field(description="Their name.")] = "Administrator"
    company: Annotated[str, Field(description="The company's name.")] = "Pelagic"
    time_zone: Annotated[str, Field(description="The company's time zone (IANA).")] = "UTC"
    currency: Annotated[str, Field(description="The company's currency (ISO 4217).")] = "USD"
    locale: Annotated[str, Field(description="The company's language: `en`, `ko`, `zh` or `ru`.")] = "en"


def main() -> int:
    """The command."""
    try:
        settings = FirstStartSettings.load()
    except SettingsInvalid as refused:
        sys.stderr.writelines(f"first_start: {problem}\n" for problem in refused.problems)
        return 2
    try:
        result = bootstrap(
            settings.database_url.get_secret_value(),
            email=settings.admin_email,
            password=settings.admin_password.get_secret_value(),
            name=settings.admin_name,
            company=settings.company,
            time_zone=settings.time_zone,
            currency=settings.currency,
            locale=settings.locale,
        )
    except Refusal as refused:
        reasons = [f"{field.pointer.removeprefix('/')}: {field.detail}" for field in refused.errors] or [refused.detail]
        sys.stderr.writelines(f"first_start: refused: {reason}\n" for reason in reasons)
        return 1
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as failed:
        sys.stderr.write(f"first_start: failed: {type(failed).__name__}: {failed}\n")
        return 1
    sys.stderr.write("first_start: made\n" if result.created else "first_start: there is a company already\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
