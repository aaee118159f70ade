"""The attacks' table on the tier gvisor: of each id and victim the first row, and all of what only the workload's filter
and its bounding set refuse. BULKHEAD_TIER=gvisor runs the whole table."""
from attacks import test_table
from support.tiers import on_tier


def chosen():
    names, seen = [], set()
    for number, (identity, victim, *_, native_only) in enumerate(test_table.rows()):
        if native_only or victim == "unix_race" or ((identity, victim) in seen and victim not in ("kernel_surface", "privilege")):
            continue
        seen.add((identity, victim))
        names += [name for name in dir(test_table.Attacks) if f"_{number:02}_" in name and name.endswith("_on")]
    return names


Table = on_tier("gvisor", test_table.Attacks, chosen())
Table.__module__ = __name__
