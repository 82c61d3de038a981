"""The API of identity: its slices' routers, and the service that app and worker are made from."""

from crm_contracts.identity import IDENTITY_OPERATIONS
from crm_identity.company.routes import router as company
from crm_identity.department.routes import router as departments
from crm_identity.department_set.routes import router as department_sets
from crm_identity.desk import open_desk
from crm_identity.document.routes import router as documents
from crm_identity.hand_over.routes import router as hand_overs
from crm_identity.me.routes import router as me
from crm_identity.role.catalogue import IDENTITY
from crm_identity.role.routes import router as roles
from crm_identity.session.oauth_routes import router as oauth
from crm_identity.session.oauth_routes import well_known
from crm_identity.session.routes import router as sessions
from crm_identity.settings import IdentitySettings
from crm_identity.signing_key.routes import router as signing_keys
from crm_identity.user.directory_routes import router as directory
from crm_identity.user.routes import router as users
from crm_identity.user.secret_routes import router as secrets
from crm_identity.worker import REACTIONS, SCHEDULES, WORKS
from crm_web import Service
from crm_web.operations import operation_permissions, operation_router

SERVICE = Service(
    name="identity",
    title="Pelagic Identity",
    routers=[
        company,
        departments,
        department_sets,
        users,
        secrets,
        directory,
        roles,
        sessions,
        signing_keys,
        hand_overs,
        me,
        oauth,
        well_known,
        documents,
        operation_router(IDENTITY_OPERATIONS, REACTIONS),
    ],
    permissions=[*IDENTITY, *operation_permissions("identity")],
    settings=IdentitySettings,
    opened=open_desk,
    reactions=REACTIONS,
    schedules=SCHEDULES,
    works=WORKS,
)
