"""The board: pictures that its page adds up while a slider moves, and the true edit of a setting."""

from .keeping import keep_setting
from .rows import BoardInputs
from .running import run_board

__all__ = ["BoardInputs", "keep_setting", "run_board"]
