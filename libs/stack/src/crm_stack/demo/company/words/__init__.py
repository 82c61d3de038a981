"""What the sample company is told in: names and texts of four languages, lists of our own.

Of our own, because the same seed must give the same company with every version of everything; and because published name libraries
put real companies' names into customers' mouths, and know nothing to say about a valve that was delivered late.
"""

from crm_stack.demo.company.words.chinese import CHINESE
from crm_stack.demo.company.words.english import ENGLISH
from crm_stack.demo.company.words.korean import KOREAN
from crm_stack.demo.company.words.language import Language
from crm_stack.demo.company.words.russian import RUSSIAN

LANGUAGES: dict[str, Language] = {language.code: language for language in (ENGLISH, KOREAN, CHINESE, RUSSIAN)}

__all__ = ["LANGUAGES", "Language"]
