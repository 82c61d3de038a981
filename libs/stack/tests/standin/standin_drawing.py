"""Draws random numbers when it is imported, and answers with new ones."""

import random
import uuid

import uuid_utils

BEFORE = (str(uuid_utils.uuid7()), random.random())


def draw(_: str) -> list[str]:
    """Random numbers of this process, of every source that services use."""
    return [str(uuid_utils.uuid7())[14:], str(uuid_utils.uuid4()), str(uuid.uuid4()), str(random.random())]
