"""An evaluation on a small scale."""

from pullback_core.evaluate import Settings

SMALL = Settings(
    faces=2,
    timesteps=(0.5,),
    steps=4,
    refine=0,
    rank=2,
    deep_rank=4,
    shown=2,
    guided=1,
    guidance_steps=1,
    renoised=2,
    carried=1,
    sources=1,
    parts=("mouth",),
    words=3,
)
