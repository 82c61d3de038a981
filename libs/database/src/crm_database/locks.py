"""Advisory locks by name: two parts that each choose a number of their own one day choose the same one (it happened)."""

import hashlib


def lock_key(name: str, *parts: bytes) -> int:
    """The key of an advisory lock, from a name that is unique in the product (`identity.organisation`) and what it is about.

    parts: ids that narrow it (one user in one pool). A signed 64-bit number, the same in every process and version.
    """
    digest = hashlib.blake2b(name.encode(), digest_size=8, person=b"crm-lock")
    for part in parts:
        digest.update(len(part).to_bytes(4, "big") + part)
    return int.from_bytes(digest.digest(), "big", signed=True)
