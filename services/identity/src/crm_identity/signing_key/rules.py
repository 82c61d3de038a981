"""When a key begins and stops to count (ID-26)."""

import datetime as dt

from crm_authz.tokens import LEEWAY, LONGEST_LIFE

#: A new key is published this long before it signs: the gateway reads the keys every 30 s, the services hear of it by the bus.
PUBLISHED_BEFORE = dt.timedelta(seconds=90)
#: So long after a key stopped signing its tokens still count.
COUNTS_AFTER = dt.timedelta(seconds=LONGEST_LIFE + 2 * LEEWAY)


def first_signs_from(now: dt.datetime) -> dt.datetime:
    """There is nobody yet who could not know the first key."""
    return now


def next_signs_from(now: dt.datetime) -> dt.datetime:
    """When a key made now begins to sign."""
    return now + PUBLISHED_BEFORE


def not_after(successor_signs_from: dt.datetime) -> dt.datetime:
    """Until when tokens of a key count whose successor signs from then on."""
    return successor_signs_from + COUNTS_AFTER
