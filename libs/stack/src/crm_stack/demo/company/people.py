"""The organisation: four levels (company, division, region, team), 41 people, each role at least once. Pure."""

from random import Random

from crm_stack.demo.company.chance import generator
from crm_stack.demo.company.facts import Department, Person
from crm_stack.demo.company.words import LANGUAGES, Language

DOMAIN = "sample.example"
#: Regions of the sales division, by the language of their market.
REGIONS = ("en", "ko", "zh", "ru")
TEAMS = ("North", "South")
AGENTS = ("en", "en", "ko", "zh", "ru")


def plan_people(seed: int) -> tuple[tuple[Department, ...], dict[str, Person]]:
    """Departments, parents first, and people by key, superiors first."""
    return _Hiring(generator(seed, "people")).run()


class _Hiring:
    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.departments: list[Department] = []
        self.people: dict[str, Person] = {}
        # Family names are used once each, so that nobody shares an e-mail address.
        self.families = {code: _shuffled(rng, language.families) for code, language in LANGUAGES.items()}
        self.givens = {code: _shuffled(rng, language.givens) for code, language in LANGUAGES.items()}

    def run(self) -> tuple[tuple[Department, ...], dict[str, Person]]:
        chief = self._hire("user/chief", "executive", "Chief executive", None, None, "en")
        self._hire("user/administrator", "super_administrator", "IT administrator", None, chief, "en")
        self._hire("user/office", "general", "Office", None, chief, "ko")
        self._sales(chief)
        self._support(chief)
        self._finance(chief)
        return tuple(self.departments), self.people

    def _sales(self, chief: str) -> None:
        head = self._led("department/sales", "Sales", "sales", None, "Head of Sales", chief, "en")
        for code in REGIONS:
            office = LANGUAGES[code].office
            region = self._led(
                f"department/sales/{code}",
                f"Sales {office}",
                "sales",
                "department/sales",
                f"Sales {office}",
                head,
                code,
            )
            for team in TEAMS:
                key = f"department/sales/{code}/{team.lower()}"
                name = f"{office} {team}"
                leader = self._led(key, name, "sales", f"department/sales/{code}", f"Team leader {name}", region, code)
                for number in (1, 2):
                    self._hire(
                        f"user/sales/{code}/{team.lower()}/{number}",
                        "sales_representative",
                        "Account manager",
                        key,
                        leader,
                        code,
                    )

    def _support(self, chief: str) -> None:
        head = self._led("department/support", "Support", "other", None, "Head of Support", chief, "ko")
        for number, code in enumerate(AGENTS, start=1):
            self._hire(f"user/support/{number}", "support_agent", "Support agent", "department/support", head, code)

    def _finance(self, chief: str) -> None:
        head = self._led("department/finance", "Finance", "collections", None, "Head of Finance", chief, "en")
        for number, code in enumerate(("en", "zh"), start=1):
            role, position = "collections_representative", "Collections"
            self._hire(f"user/finance/{number}", role, position, "department/finance", head, code)

    def _led(self, key: str, name: str, area: str, parent: str | None, position: str, superior: str, code: str) -> str:
        """A department with its leader; answers the leader's key."""
        leader = key.replace("department/", "user/", 1) + "/lead"
        found = Department(key, name, area, parent, leader)  # type: ignore[arg-type]  # one of the three areas
        self.departments.append(found)
        return self._hire(leader, "supervisor", position, key, superior, code)

    def _hire(self, key: str, role: str, position: str, department: str | None, superior: str | None, code: str) -> str:
        family, given = self.families[code].pop(), self.givens[code].pop()
        email = f"{given[1]}.{family[1]}@{DOMAIN}".lower()
        name = _name(LANGUAGES[code], family[0], given[0])
        self.people[key] = Person(key, name, email, role, position, department, superior, code)
        return key


def person_name(rng: Random, language: Language) -> str:
    """Any name, as one writes it there."""
    return _name(language, rng.choice(language.families)[0], rng.choice(language.givens)[0])


def _name(language: Language, family: str, given: str) -> str:
    return language.name.format(family=family, given=given)


def _shuffled(rng: Random, names: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    return rng.sample(names, len(names))
