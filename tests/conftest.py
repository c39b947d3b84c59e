"""`tests/host` runs under ComfyUI's Python, where `test_host.py` starts it."""

import os

# Before torch is imported, and for the processes that tests start: on a busy machine, tiny networks take up to a hundred times as
# long in several threads; see `pullback_core/threads.py`.
os.environ.setdefault("OMP_NUM_THREADS", "1")

collect_ignore = ["host"]
