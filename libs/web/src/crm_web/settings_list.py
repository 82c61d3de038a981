"""The settings of every service as a table in its README: `python -m crm_web.settings_list [--check]`.

The settings classes are the source; the table stands between two marks and is never written by hand. `settings_of` is what the
deployments' tests compare with.
"""

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from crm_web.routes import installed
from crm_web.service import load_service
from crm_web.settings import Settings

BEGIN = "<!-- settings: made by python -m crm_web.settings_list -->"
END = "<!-- end of settings -->"


@dataclass(frozen=True)
class Setting:
    """name: of the variable, such as CRM_HTTP_PORT. default: as a person writes it, None where there is none.

    secret: meant to be given by file (`…_FILE`).
    """

    name: str
    required: bool
    secret: bool
    default: str | None
    meaning: str


class NoPlaceForTable(Exception):
    """A README lacks the two marks between which the table stands."""


def settings_of(settings: type[Settings]) -> list[Setting]:
    """All settings of a class, as declared: those of every service first."""
    return [
        Setting(
            name="CRM_" + name.upper(),
            required=field.is_required(),
            secret=_mentions_secret(field.annotation),
            default=_default(field),
            meaning=field.description or "",
        )
        for name, field in settings.model_fields.items()
    ]


def _mentions_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_mentions_secret(part) for part in get_args(annotation))


def _default(field: FieldInfo) -> str | None:
    if field.is_required() or field.default is None or field.default == "":
        return None
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)


def table(settings: type[Settings]) -> str:
    """The table in Markdown, with what is needed first."""
    lines = ["| setting | default | meaning |", "|---|---|---|"]
    for setting in sorted(settings_of(settings), key=lambda one: not one.required):
        default = "required" if setting.required else "" if setting.default is None else f"`{setting.default}`"
        secret = " A secret: give it as a file." if setting.secret else ""
        lines.append(f"| `{setting.name}` | {default} | {setting.meaning}{secret} |")
    return "\n".join(lines)


def with_table(readme: str, settings: type[Settings]) -> str:
    """The README's text with the present table. Raises NoPlaceForTable."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise NoPlaceForTable(f"it needs the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table(settings)}\n{END}{after}"


def readmes() -> Iterator[tuple[Path, type[Settings]]]:
    """The README of every service that is installed here, with its settings class."""
    for name in installed():
        package = importlib.import_module(f"crm_{name}")
        if package.__file__ is not None:
            yield Path(package.__file__).parents[2] / "README.md", load_service(name).settings


def main(arguments: list[str]) -> int:
    """Exit code 0: written, or all current; 1: some are stale (named on standard error)."""
    stale = []
    for readme, settings in readmes():
        text = readme.read_text(encoding="utf-8")
        try:
            wanted = with_table(text, settings)
        except NoPlaceForTable as refused:
            sys.stderr.write(f"{readme}: {refused}\n")
            return 1
        if wanted != text:
            stale.append(readme)
            if "--check" not in arguments:
                readme.write_text(wanted, encoding="utf-8")
    if "--check" not in arguments:
        return 0
    for readme in stale:
        sys.stderr.write(f"not current: {readme}; run python -m crm_web.settings_list\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
