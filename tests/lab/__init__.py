"""A network of its own for tests: a host side, an internet side, and nothing else."""
from .lab import Lab

__all__ = ["Lab"]
