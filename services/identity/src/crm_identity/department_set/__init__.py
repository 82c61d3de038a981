"""Named sets of departments for the data scope `departments` (ID-12)."""
