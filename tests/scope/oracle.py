"""Whose records a scope reaches, told once more: slowly, plainly, and without a line of the product.

Written from the table of ID-12 alone. It imports nothing of ours, and the product nothing of it: where both agree on random
organisations, they are unlikely to be wrong in the same way. Plain recursion over dicts; nothing is cached.

An organisation is a dict:

    {
      "users": {user: {"department": department, "superior": user or None, "super_admin": bool}},
      "departments": {department: {"parent": department or None, "deleted": bool}},
      "sets": {set: {"departments": [department], "subtrees": [department], "deleted": bool}},
    }

Ids may be anything hashable. Rules are texts as tokens have them: "self", "departments:<set>". A record is a dict
{"owner": user or None, "members": [{"user": user, "right": "read" | "write", "expires_at": number or None}]}.
"""

CLASSES_WITH_MEMBERS = {"read": {"read", "write"}, "write": {"write"}}


def superiors(organisation, user, seen=()):
    """The user's superior, the superior's superior, and so on."""
    superior = organisation["users"].get(user, {}).get("superior")
    if superior is None or superior in seen:
        return []
    return [superior, *superiors(organisation, superior, (*seen, superior))]


def departments_above(organisation, department, seen=()):
    """The department, its parent, the parent's parent, and so on; the way ends at a department that is not there (any more)."""
    entry = organisation["departments"].get(department)
    if department in seen:
        return []
    if entry is None or entry["deleted"] or entry["parent"] is None:
        return [department]
    return [department, *departments_above(organisation, entry["parent"], (*seen, department))]


def rule_reaches(organisation, rule, holder, owner):
    """Whether one rule lets `holder` reach what `owner` (a user, or None) owns."""
    users = organisation["users"]
    if holder not in users:
        return False
    if rule == "all":
        return True
    if owner is None:
        return False
    place = users[holder]["department"]
    its_place = users[owner]["department"] if owner in users else None
    if rule == "self":
        return owner == holder
    if rule == "peers":
        if owner == holder:
            return True
        superior = users[holder]["superior"]
        if superior is None or superior not in users or users[superior]["super_admin"]:
            return False
        return owner in users and owner != superior and users[owner]["superior"] == superior
    if rule == "subordinates":
        return owner == holder or (owner in users and holder in superiors(organisation, owner))
    if rule == "department":
        return owner in users and its_place == place
    if rule == "department_tree":
        return owner in users and place in departments_above(organisation, its_place)
    if rule.startswith("departments:"):
        chosen = organisation["sets"].get(rule.removeprefix("departments:"))
        if chosen is None or chosen["deleted"]:
            return False
        if owner == holder:
            return True
        if owner not in users:
            return False
        above = departments_above(organisation, its_place)
        return its_place in chosen["departments"] or any(top in above for top in chosen["subtrees"])
    return False


def reaches_anything(organisation, rules, holder):
    """Whether the rules reach anybody at all: an empty or unknown scope reaches nothing, shared records included."""
    return any(rule_reaches(organisation, rule, holder, holder) for rule in rules)


def owners(organisation, rule, holder):
    """The users whose records one rule reaches."""
    return {user for user in organisation["users"] if rule_reaches(organisation, rule, holder, user)}


def shares(record, holder, action, now):
    """Whether the record is shared with the holder for this action class, at the instant `now`."""
    return any(
        member["user"] == holder
        and member["right"] in CLASSES_WITH_MEMBERS.get(action, ())
        and (member["expires_at"] is None or now < member["expires_at"])
        for member in record["members"]
    )


def may_reach(organisation, rules, holder, record, action, now):
    """Whether rules (united) let the holder reach a record, by its owner or by membership."""
    if not reaches_anything(organisation, rules, holder):
        return False
    if any(rule_reaches(organisation, rule, holder, record["owner"]) for rule in rules):
        return True
    return shares(record, holder, action, now)


def rule_of(role, record_type, action):
    """The rule of one role: of the most exact key that it has for the record, the action class's own or that of `*`; or None.

    A role is {"customers.customer" | "customers.*" | "*": {action class | "*": rule}}.
    """
    for key in (record_type, record_type.split(".")[0] + ".*", "*"):
        if key in role:
            return role[key].get(action, role[key].get("*"))
    return None


def rules_of(roles, record_type, action):
    """The rules that somebody with these roles has: rights are the union of the roles."""
    return [rule for role in roles if (rule := rule_of(role, record_type, action)) is not None]


def allowed(organisation, roles, holder, record_type, record, action, now, by_ownership=False):
    """Whether the holder of the roles may do this with a record; by_ownership: memberships don't count."""
    judged = {"owner": record["owner"], "members": []} if by_ownership else record
    return may_reach(organisation, rules_of(roles, record_type, action), holder, judged, action, now)


def may_give(organisation, roles, holder, record_type, to):
    """Whether the holder may make somebody the owner of a record: the transfer scope reaches them."""
    rules = rules_of(roles, record_type, "transfer")
    return any(rule_reaches(organisation, rule, holder, to) for rule in rules)


def path(organisation, department, seen=()):
    """The department and everything above it, removed ones too."""
    entry = organisation["departments"].get(department)
    if entry is None or entry["parent"] is None or department in seen:
        return [department]
    return [department, *path(organisation, entry["parent"], (*seen, department))]


def is_pool_member(organisation, pool, user):
    """Whether a user claims from a pool: named, administering, or of a named department or below it."""
    if user in pool["users"] or user in pool["administrators"]:
        return True
    return any(
        department in pool["departments"]
        for department in path(organisation, organisation["users"][user]["department"])
    )
