"""The same tests on another tier.

BULKHEAD_TIER=gvisor runs a whole pattern on it; on_tier() puts a few that stand for the rest into the default run.
"""


def on_tier(tier, base, names):
    """A class with the tests of `base` whose names are in `names`, for a module of its own, on this tier."""
    everything = [name for name in dir(base) if name.startswith("test_")]
    missing = set(names) - set(everything)
    if missing:
        raise AttributeError(f"{base.__name__} has no {', '.join(sorted(missing))}")
    body = {name: None for name in everything if name not in names}
    return type(f"{tier.capitalize()}{base.__name__}", (base,), {**body, "tier": tier})
