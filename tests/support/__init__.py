"""What every whole-program test uses: the case with its lab, folders and helpers; terminals; process lists."""
from .case import Case, bin_folder, victim

__all__ = ["Case", "bin_folder", "victim"]
