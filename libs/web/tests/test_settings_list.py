"""The settings' tables in the READMEs, and what is said of wrong settings when a process starts."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, SecretStr

from crm_web import Settings, SettingsInvalid, settings_list
from crm_web.settings import misspelt
from crm_web.settings_list import BEGIN, END, NoPlaceForTable, readmes, settings_of, table, with_table

GOOD = {
    "CRM_SERVICE": "notes",
    "CRM_DATABASE_URL": "postgresql://u:secret@localhost/db",
    "CRM_PUBLIC_URL": "https://crm.example",
    "CRM_SIGNING_KEY": "ab" * 32,
}


class NotesSettings(Settings):
    """Settings of a service with two of its own."""

    colour: Annotated[str, Field(description="Of the paper.")] = "white"
    pin: Annotated[SecretStr | None, Field(description="Of the lock.")] = None


def test_the_readmes_tables_are_current() -> None:
    assert settings_list.main(["--check"]) == 0, "run python -m crm_web.settings_list"
    assert len(list(readmes())) == 6


@pytest.mark.parametrize("settings", dict.fromkeys(settings for _, settings in readmes()), ids=lambda one: one.__name__)
def test_every_setting_says_what_it_is_for(settings: type[Settings]) -> None:
    assert [setting.name for setting in settings_of(settings) if not setting.meaning] == []


def test_a_table_has_each_setting_with_its_default_what_is_needed_first() -> None:
    lines = table(NotesSettings).splitlines()
    assert "| `CRM_COLOUR` | `white` | Of the paper. |" in lines
    assert "| `CRM_PIN` |  | Of the lock. A secret: give it as a file. |" in lines
    required = [number for number, line in enumerate(lines) if "| required |" in line]
    assert required == [2, 3, 4, 5]
    assert len(lines) == 2 + len(NotesSettings.model_fields)


def test_a_table_goes_between_its_marks_and_nothing_else_changes() -> None:
    text = f"# Notes\n\n{BEGIN}\nold\n{END}\n\n## More\n"
    written = with_table(text, NotesSettings)
    assert written == f"# Notes\n\n{BEGIN}\n{table(NotesSettings)}\n{END}\n\n## More\n"
    assert with_table(written, NotesSettings) == written
    with pytest.raises(NoPlaceForTable):
        with_table("# Notes\n", NotesSettings)


def test_a_stale_table_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}\nold\n{END}\n", encoding="utf-8")
    monkeypatch.setattr(settings_list, "readmes", lambda: [(readme, NotesSettings)])
    assert settings_list.main(["--check"]) == 1
    assert str(readme) in capsys.readouterr().err
    assert settings_list.main([]) == 0
    assert settings_list.main(["--check"]) == 0


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    wrong = GOOD | {"CRM_HTTP_PORT": "x", "CRM_POOL_MAX": "0", "CRM_TIME_ZONE_FILE": "/nowhere"}
    del wrong["CRM_PUBLIC_URL"]
    with pytest.raises(SettingsInvalid) as refused:
        Settings.load(wrong)
    assert [problem.partition(" ")[0].rstrip(":") for problem in refused.value.problems] == [
        "CRM_TIME_ZONE_FILE",
        "CRM_HTTP_PORT",
        "CRM_PUBLIC_URL",
        "CRM_POOL_MAX",
    ]
    assert str(refused.value).splitlines() == list(refused.value.problems)


@pytest.mark.parametrize(
    "url", ["mysql://u:hidden@h/db", "postgresql://h/db", "postgresql://u:hidden@h", "postgresql://u:hidden@h:port/db"]
)
def test_a_databases_address_is_looked_at_and_its_password_never_shown(url: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        Settings.load(GOOD | {"CRM_DATABASE_URL": url})
    assert str(refused.value).startswith("CRM_DATABASE_URL: it must be like postgresql://")
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("address", ["kafka", "kafka:", "a:1,", "a:1 b:2"])
def test_the_bus_is_named_with_its_port(address: str) -> None:
    assert Settings.load(GOOD | {"CRM_KAFKA_BOOTSTRAP": "a:1,b:2"}).kafka_bootstrap == "a:1,b:2"
    with pytest.raises(SettingsInvalid, match="CRM_KAFKA_BOOTSTRAP: "):
        Settings.load(GOOD | {"CRM_KAFKA_BOOTSTRAP": address})


def test_a_misspelt_setting_is_pointed_out_and_a_foreign_one_is_not() -> None:
    given = {
        "CRM_POOLMAX": "3",
        "CRM_SIGNING_KEYS_FILE": "/x",
        "CRM_TEST_KAFKA": "embedded",
        "CRM_POOL_MAX": "3",
        "PATH": "/",
    }
    assert misspelt(Settings, given) == [
        "CRM_POOLMAX is not a setting: was CRM_POOL_MAX meant?",
        "CRM_SIGNING_KEYS_FILE is not a setting: was CRM_SIGNING_KEY meant?",
    ]


def test_a_process_with_wrong_settings_ends_with_status_2_and_a_line_for_each() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CRM_")}
    command = [sys.executable, "-m", "crm_web.run", "--app"]
    given = environment | {"CRM_SERVICE": "customers", "CRM_HTTP_PORT": "70000", "CRM_PUBLIC_URL": "nowhere"}
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert [line.split(" ")[1].rstrip(":") for line in done.stderr.splitlines()] == [
        "CRM_DATABASE_URL",
        "CRM_HTTP_PORT",
        "CRM_PUBLIC_URL",
        "CRM_SIGNING_KEY",
    ]
    nameless = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert nameless.returncode == 2
    assert "CRM_SERVICE" in nameless.stderr
