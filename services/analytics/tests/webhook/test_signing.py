"""Signatures as the specification has them, and secrets that a copy of the database doesn't give away."""

import base64
import datetime as dt
import uuid

import pytest

from crm_analytics.webhook import signing
from crm_analytics.webhook.sealing import Seal, SecretLost

#: The example that the specification and its libraries are tested with.
SECRET = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
AT = dt.datetime.fromtimestamp(1614265330, dt.UTC)
ID, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.requirement("PL-43")
def test_the_specifications_example_has_the_specifications_signature() -> None:
    assert signing.headers(ID, AT, BODY, [SECRET]) == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_with_two_secrets_both_sign_the_newest_first() -> None:
    signed = signing.headers(ID, AT, BODY, [b"new", SECRET])["webhook-signature"].split(" ")
    assert signed == [signing.headers(ID, AT, BODY, [b"new"])["webhook-signature"], SIGNATURE]


def test_id_time_and_body_are_all_signed() -> None:
    other = [
        signing.headers("msg_other", AT, BODY, [SECRET]),
        signing.headers(ID, AT + dt.timedelta(seconds=1), BODY, [SECRET]),
        signing.headers(ID, AT, BODY + b" ", [SECRET]),
    ]
    assert SIGNATURE not in [one["webhook-signature"] for one in other]


def test_a_secret_is_shown_with_its_prefix() -> None:
    assert signing.shown(SECRET) == "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert 24 <= signing.SECRET_BYTES <= 64


def test_a_sealed_secret_opens_as_the_same_webhooks_under_the_same_key_alone() -> None:
    webhook, seal = uuid.uuid4(), Seal(b"k" * 32)
    sealed = seal.close(webhook, SECRET)
    assert SECRET not in sealed
    assert seal.open(webhook, sealed) == SECRET
    assert sealed != seal.close(webhook, SECRET)
    for other, whose in ((Seal(b"x" * 32), webhook), (seal, uuid.uuid4())):
        with pytest.raises(SecretLost):
            other.open(whose, sealed)
        assert not other.opens(whose, sealed)
    assert not seal.opens(webhook, b"")
