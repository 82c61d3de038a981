import asyncio

import pytest

from crm_identity.credential.hashing import DUMMY_HASH, Hasher, HashingBusy
from crm_identity.credential.rules import UnacceptablePassword, check_password


@pytest.mark.requirement("ID-25")
@pytest.mark.parametrize("password", ["correct horse", "비밀번호입니다아", "aaaaaaab", "        x", "12 34 56 78 9"])
def test_any_long_enough_uncommon_password_is_good(password: str) -> None:
    check_password(password)


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("short", "password.too_short"),
        ("PassWord", "password.common"),
        ("12345678", "password.common"),
        ("zzzzzzzzz", "password.common"),
        ("x" * 257, "password.too_long"),
        ("KIM@example.com", "password.personal"),
        ("김철수김철수김철", "password.personal"),
    ],
)
def test_what_is_refused_says_why(password: str, code: str) -> None:
    with pytest.raises(UnacceptablePassword) as refused:
        check_password(password, own=("김철수김철수김철", "kim@example.com"))
    assert refused.value.errors[0].code == code


def test_who_can_do_everything_needs_a_longer_one() -> None:
    check_password("eleven char")
    with pytest.raises(UnacceptablePassword):
        check_password("eleven char", administrator=True)


async def test_a_hash_verifies_its_password_and_no_other() -> None:
    hasher = Hasher()
    stored = await hasher.hash("correct horse")
    assert stored.startswith("$argon2id$")
    assert await hasher.verify(stored, "correct horse")
    assert not await hasher.verify(stored, "correct horsf")
    assert not await hasher.verify("$argon2id$broken", "correct horse")
    assert not hasher.outdated(stored)
    hasher.close()


async def test_nobody_has_no_password_and_costs_the_same_work() -> None:
    hasher = Hasher()
    assert not await hasher.verify(None, "anything")
    # The stand-in is checked with the very parameters of real hashes.
    assert DUMMY_HASH.split("$")[:4] == (await hasher.hash("x")).split("$")[:4]
    hasher.close()


async def test_hashing_refuses_rather_than_queue_without_end() -> None:
    hasher = Hasher(workers=1, waiting=1)
    answers = await asyncio.gather(*(hasher.hash("x") for _ in range(6)), return_exceptions=True)
    assert sum(isinstance(answer, HashingBusy) for answer in answers) == 4
    hasher.close()
