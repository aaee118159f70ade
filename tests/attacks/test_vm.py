"""The attacks' table on the tier vm: of each id the first row. BULKHEAD_TIER=vm runs the whole table."""
from attacks import test_table
from support.tiers import on_tier


def chosen():
    names, seen = [], set()
    for number, (identity, *_, native_only) in enumerate(test_table.rows()):
        if native_only or identity in seen:
            continue
        seen.add(identity)
        names += [name for name in dir(test_table.Attacks) if f"_{number:02}_" in name and name.endswith("_on")]
    return names


Table = on_tier("vm", test_table.Attacks, chosen())
Table.__module__ = __name__
