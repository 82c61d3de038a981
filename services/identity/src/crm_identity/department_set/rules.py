"""Refusals about named sets of departments."""

from crm_kernel import Conflict, FieldError, Invalid, NotFound


class DepartmentSetNotFound(NotFound):
    code = "department_set.not_found"
    title = "There is no such set of departments"


class DepartmentSetUsed(Conflict):
    code = "department_set.used"
    title = "A role's scope still names this set"


class UnknownMember(Invalid):
    code = "department_set.unknown_department"
    title = "A department named does not exist"

    def __init__(self, pointer: str) -> None:
        super().__init__(errors=[FieldError(pointer, self.code, "There is no such department.")])
