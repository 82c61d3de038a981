"""What the standard behaviour of records refuses, besides what crm_web and crm_authz refuse."""

from crm_kernel import Conflict, Forbidden, Invalid


class RecordOutOfScope(Forbidden):
    """403: the caller sees the record, but its data scope for this kind of action does not reach it."""

    code = "scope.record"
    title = "You see this record, but may not do this with it"


class ExternalRefTaken(Conflict):
    """409: another record of the type has the external reference; it may be one that the caller can't see."""

    code = "record.external_ref_taken"
    title = "There is a record with this external reference already"


class ExternalRefRepeated(Conflict):
    """A row of a batch: an earlier row has the same external reference."""

    code = "record.external_ref_repeated"
    title = "An earlier row has the same external reference"


class RecordRepeated(Conflict):
    """A row of a batch: an earlier row is about the same record."""

    code = "record.repeated"
    title = "An earlier row is about the same record"


class NotDeleted(Conflict):
    """409: only a deleted record can be restored."""

    code = "record.not_deleted"
    title = "The record is not deleted"


class RestoreTooLate(Conflict):
    """409: it was deleted more than 30 days ago."""

    code = "record.restore_too_late"
    title = "The time in which the record could be restored is over"


class OwnerNotActive(Invalid):
    """422: only active users can own records (ID-5)."""

    code = "record.owner_not_active"
    title = "The user is not known or not active"


class MemberIsOwner(Conflict):
    """409: the owner needs no membership."""

    code = "record.member_is_owner"
    title = "The user is the record's owner"


class TooManyMembers(Conflict):
    """409: more members than one record takes."""

    code = "record.too_many_members"
    title = "The record has as many members as it can have"


class TooManyMatches(Invalid):
    """422: the filter matches more records than one request changes."""

    code = "record.too_many_matches"
    title = "More records match than one request can change"


class OccurredInFuture(Invalid):
    """422: what has happened did not happen in the future."""

    code = "record.occurred_in_future"
    title = "The instant is in the future"


class NothingToRevert(Conflict):
    """409: the entry of the history changed no field that can be set."""

    code = "record.nothing_to_revert"
    title = "There is nothing in this entry that could be set back"
