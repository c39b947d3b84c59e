"""A study on a small scale."""

from pullback_core.study import Settings

SMALL = Settings(
    samples=4,
    timesteps=(0.3, 0.6, 0.9),
    steps=10,
    rank=2,
    tolerance=0.2,
    deep_rank=4,
    few=2,
    prompts=("", "smiling", "smiling, hat", "bald"),
    features=("input_3", "input_5", "middle"),
    early=0.9,
    late=0.3,
    directions=1,
    sources=2,
)
