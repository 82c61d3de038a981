"""The company's region, from its time zone: it decides what telephone numbers without a country code mean."""

from functools import lru_cache
from importlib import resources


@lru_cache(maxsize=64)
def region_of(time_zone: str) -> str | None:
    """ISO 3166 code of the country that an IANA time zone is of ("Asia/Seoul": KR); None for zones of no one country (UTC)."""
    return _countries().get(time_zone)


@lru_cache(maxsize=1)
def _countries() -> dict[str, str]:
    text = resources.files("tzdata").joinpath("zoneinfo", "zone.tab").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))
    return {row[2]: row[0] for row in rows}
