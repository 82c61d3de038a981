"""Passwords and activation over HTTP."""

import uuid

from crm_identity.credential.rules import ActivationRefused, UnacceptablePassword
from crm_identity.desk import desk_of
from crm_identity.user import actions, models, password, reach
from crm_identity.user.batch import OutOfReach
from crm_identity.user.routes import reach_of
from crm_identity.user.rules import OnlySuperAdmin, StatusForbids, UserNotFound
from crm_web import Limits, Router, WriteUnit

router = Router("identity", tag="Users")


@router.post(
    "/users/{id}/password",
    permission="identity.user:set_password",
    scoped=True,
    status=204,
    errors=[UserNotFound, UnacceptablePassword, OnlySuperAdmin, StatusForbids, OutOfReach],
)
async def set_user_password(id: uuid.UUID, body: models.SetPassword, unit: WriteUnit) -> None:
    """Set another user's password; all their sessions end."""
    await reach.require_changeable(unit.session, reach_of(unit), id)
    authority = await actions.authority_of(unit.session, unit.caller.user_id)
    chosen = body.password.get_secret_value()
    await password.set_by_administrator(unit.session, desk_of(unit).hasher, authority, id, chosen)


@router.post(
    "/activations",
    access="public",
    status=204,
    limits=Limits(body_bytes=16 * 1024, rate="login"),
    errors=[ActivationRefused, UnacceptablePassword],
)
async def activate_account(body: models.Activation, unit: WriteUnit) -> None:
    """Choose the first password, with the code that an administrator passed on."""
    await password.choose(unit.session, desk_of(unit).hasher, body.code, body.password.get_secret_value())
