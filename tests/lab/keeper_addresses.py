"""The two ends of the lab's veth pair; keeper.py has the same (it runs with no import path)."""
HOST_ADDRESS, HOST_ADDRESS6 = "11.22.33.1", "2a0e:aa00:1::1"
GATE_ADDRESS, GATE_ADDRESS6 = "11.22.33.53", "2a0e:aa00:1::53"
