"""Application factory, problem details, idempotency, cursors, health, telemetry. What is listed here is public."""

from crm_web.answers import Answer, Json, Stream
from crm_web.app import Application, create_app
from crm_web.cursors import CursorInvalid
from crm_web.limits import Limits
from crm_web.router import Router
from crm_web.service import Service
from crm_web.settings import Settings, SettingsInvalid
from crm_web.units import ReadUnit, SessionlessUnit, WriteUnit

__all__ = [
    "Answer",
    "Application",
    "CursorInvalid",
    "Json",
    "Limits",
    "ReadUnit",
    "Router",
    "Service",
    "SessionlessUnit",
    "Settings",
    "SettingsInvalid",
    "Stream",
    "WriteUnit",
    "create_app",
]
