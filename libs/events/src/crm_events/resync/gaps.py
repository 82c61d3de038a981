"""Noticing that something is lacking: an event tells a version that does not follow the one that is here.

That never happens in normal life: versions are raised by one with each event, and a group hears all of a topic. When it does (rows
deleted by hand, a discarded dead letter, a backup put back), nobody has to stop anything: the record is asked for.
"""

import uuid
from collections.abc import Sequence

import structlog

from crm_contracts import Envelope
from crm_database import WriteSession
from crm_events import metrics
from crm_events.reaction import Reaction
from crm_events.resync import ask_store, rules

_log = structlog.get_logger("crm_events")


async def notice(session: WriteSession, reaction: Reaction, run: Sequence[Envelope]) -> None:
    """Look at events that a reaction is about to be given, in the transaction that applies them."""
    held = reaction.held
    if held is None or not held.notices:
        return
    told: dict[str, dict[uuid.UUID, list[int]]] = {}
    for envelope in run:
        if envelope.topic in held.tables:
            version = envelope.payload.get("version")
            if isinstance(version, int):
                told.setdefault(envelope.topic, {}).setdefault(envelope.subject, []).append(version)
    for topic, records in told.items():
        # What begins at the first version can lack nothing before it; most batches of new records need no look.
        asked = [subject for subject, versions in records.items() if min(versions) > 1]
        known = await ask_store.versions(session, held, topic, asked) if asked else {}
        gaps = []
        for subject, versions in records.items():
            here = known.get(subject, 0)
            for version in sorted(versions):
                if rules.is_gap(here, version):
                    gaps.append((subject, here, version))
                    break
                here = max(here, version)
        if not gaps:
            continue
        news = await ask_store.notice(session, reaction.group, topic, gaps)
        metrics.resync_gaps.add(len(gaps), {"group": reaction.group, "topic": topic})
        if news:
            subject, here, version = gaps[0]
            _log.warning(
                "something is lacking",
                group=reaction.group,
                topic=topic,
                records=len(gaps),
                subject=str(subject),
                known=here,
                told=version,
            )
