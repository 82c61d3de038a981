"""The activity table with its fields."""

import sqlalchemy as sa

from crm_records import DateTime, IdList, Integer, LongText, Reference, Select, Text, record_table
from crm_sales.activity.linkable import LINKABLE
from crm_sales.activity.links import Links
from crm_sales.metadata import metadata


class HappenedAt(DateTime):
    """An instant that every activity has, although a new one need not be given it: then it is now."""

    @property
    def never_empty(self) -> bool:
        return True


LINKS = Links("links", types=tuple(LINKABLE), description="What it is about; records that you see")
ACTIVITY_FIELDS = (
    Text(
        "kind",
        required=True,
        max_length=40,
        pattern="[a-z][a-z0-9_]*",
        description="call, email, visit, message, note, meeting, or a key of the company's own",
        example="call",
    ),
    Text("subject", required=True, max_length=200, searchable=True, example="Asked about the offer"),
    LongText("text"),
    HappenedAt(
        "happened_at",
        indexed=True,
        description="Now, unless given; never in the future. More than 30 days ago needs the permission to backdate",
    ),
    Integer("duration_minutes", minimum=0, maximum=10_080),
    Select("direction", ("in", "out", "none"), default="none"),
    Text("outcome", max_length=500, description="What came of it"),
    LINKS,
    Reference(
        "customer_id",
        to="customers.customer",
        read_only=True,
        description="Of the first link that has one: the customer itself, the contact's, opportunity's, contract's or ticket's",
    ),
    IdList("participants", to="identity.user", max_items=50, description="Users who took part"),
    DateTime("next_contact_at", indexed=True, description="When to get in touch again"),
    Text("next_contact_note", max_length=500),
)

activity = record_table(
    metadata,
    "activity",
    ACTIVITY_FIELDS,
    extra=(
        sa.CheckConstraint(
            "cardinality(links_ids) BETWEEN 1 AND 5 AND cardinality(links_ids) = cardinality(links_types)",
            name="linked",
        ),
        sa.Index("ix_activity_customer_id", "customer_id", "id", postgresql_where=sa.text("customer_id IS NOT NULL")),
        sa.Index("ix_activity_links", "links_ids", postgresql_using="gin"),
        # The order that lists have unless another is asked for, per owner.
        sa.Index(
            "ix_activity_owner_happened",
            "owner_id",
            sa.text("happened_at DESC"),
            sa.text("id DESC"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        ),
    ),
)
