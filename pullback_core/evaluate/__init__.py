"""What are directions worth? Attributes that a regressor reads from edited faces, for every kind of them."""

from .run import evaluate
from .settings import Settings

__all__ = ["Settings", "evaluate"]
