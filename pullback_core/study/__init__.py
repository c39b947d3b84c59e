"""The analyses of the paper, repeated on the bundled models: `python -m pullback_core study`."""

from .measure import Settings
from .run import run_study

__all__ = ["Settings", "run_study"]
