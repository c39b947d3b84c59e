"""`tests/host` runs under ComfyUI's Python, where `test_host.py` starts it."""

collect_ignore = ["host"]
