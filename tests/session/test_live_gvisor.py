"""Sessions that live, on gVisor, whose commands' input and output are carried (guest/mux.h)."""
from session import test_live
from support.tiers import on_tier

names = [name for name in dir(test_live.Live) if name.startswith("test_") and "X16" not in name]
GvisorLive = on_tier("gvisor", test_live.Live, names)
