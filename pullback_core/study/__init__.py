"""The analyses of the paper, repeated on the bundled models: `python -m pullback_core study`."""

from .run import run_study
from .settings import Settings

__all__ = ["Settings", "run_study"]
