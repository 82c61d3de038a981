"""The ticket table with its fields, and the replies."""

import sqlalchemy as sa

from crm_database import instant
from crm_records import DateTime, Email, LongText, Phone, Reference, Select, Text, record_table
from crm_support.metadata import metadata
from crm_support.queue.rules import GENERAL
from crm_support.ticket.rules import STATUSES, UNDONE
from crm_support.ticket.tags import Tags

TICKET_FIELDS = (
    Text("subject", required=True, max_length=200, searchable=True, indexed=True, example="로그인이 되지 않습니다"),
    LongText("description"),
    Select("channel", ("phone", "email", "web", "chat", "api"), default="api", description="How it came in"),
    Reference("customer_id", to="customers.customer", description="The contact's, when only a contact is given"),
    Reference("contact_id", to="customers.contact"),
    Text("stranger_name", max_length=200, description="Who asks, when it is no customer or contact yet"),
    Email("stranger_email", searchable=True),
    Phone("stranger_phone"),
    Text("category", max_length=80),
    Select("priority", ("low", "normal", "high", "urgent"), default="normal"),
    Select("status", STATUSES, read_only=True, default="new"),
    Text(
        "queue",
        max_length=40,
        default=GENERAL,
        description="The key of the queue that a new one waits in. Assigning changes it",
    ),
    Text(
        "taken_from",
        max_length=40,
        read_only=True,
        description="The key of the queue that it last waited in before somebody saw to it",
        example=GENERAL,
    ),
    Tags("tags", example=["login"]),
    DateTime("first_response_at", read_only=True, description="The first public reply of staff"),
    DateTime("solved_at", read_only=True),
)

_WAITING = "owner_id IS NULL AND deleted_at IS NULL AND status IN (" + ", ".join(f"'{one}'" for one in UNDONE) + ")"

ticket = record_table(
    metadata,
    "ticket",
    TICKET_FIELDS,
    extra=(
        sa.Index("ix_ticket_customer_id", "customer_id", "id", postgresql_where=sa.text("customer_id IS NOT NULL")),
        sa.Index("ix_ticket_contact_id", "contact_id", "id", postgresql_where=sa.text("contact_id IS NOT NULL")),
        # Lists by age (SU-6), of everybody and per owner.
        sa.Index("ix_ticket_age", "created_at", "id", postgresql_where=sa.text("deleted_at IS NULL")),
        sa.Index("ix_ticket_owner_age", "owner_id", "created_at", "id", postgresql_where=sa.text("deleted_at IS NULL")),
        sa.Index("ix_ticket_waiting", "queue", "created_at", "id", postgresql_where=sa.text(_WAITING)),
    ),
)

#: What was written in a ticket; never changed. Written under the ticket's row lock. author_id: of staff who wrote it, or entered it.
reply = sa.Table(
    "reply",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("ticket_id", sa.Uuid, sa.ForeignKey("ticket.id"), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("author_id", sa.Uuid),
    sa.Column("visibility", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    instant("created_at", nullable=False),
    sa.Index("uq_reply_position", "ticket_id", "position", unique=True),
)
