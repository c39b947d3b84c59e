"""How much does the pack add to the start of ComfyUI?

    cd ComfyUI && python custom_nodes/ComfyUI-Pullback/benchmarks/start_up.py

Run it by ComfyUI's Python from ComfyUI's folder. In several fresh processes, one after the other: what
ComfyUI imports before it looks
for custom nodes, then this pack alone.
"""

import argparse
import asyncio
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

PACK = Path(__file__).resolve().parents[1]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--once", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(measure()))
        return
    print("ComfyUI   the pack   share   modules of other libraries that the pack imports first")
    measured = []
    for _ in range(options.times):
        run = subprocess.run([sys.executable, __file__, "--once"], capture_output=True, text=True)
        if run.returncode:
            sys.exit(run.stderr)
        measured.append(json.loads(run.stdout.splitlines()[-1]))
        report(*measured[-1])
    print("median")
    report(*(statistics.median(times) for times in list(zip(*measured))[:2]), measured[-1][2])


def report(host, pack, libraries):
    print(f"{host:6.2f} s {pack:8.3f} s {pack / host:6.1%}   {', '.join(libraries) or 'none'}", flush=True)


def measure():
    """(seconds of ComfyUI's imports, of the pack's, the libraries that the pack was the first to import)."""
    sys.argv = ["main.py", "--cpu"]
    sys.path.insert(0, os.getcwd())
    sys.path.remove(str(PACK / "benchmarks"))
    start = time.perf_counter()
    import comfy.options

    comfy.options.enable_args_parsing()
    # The last but one hides the first; the last is imported for whatever pack comes first.
    for name in ("utils.extra_config", "server", "nodes", "comfy_config.config_parser"):
        importlib.import_module(name)
    host, before = time.perf_counter() - start, set(sys.modules)
    start = time.perf_counter()
    assert asyncio.run(sys.modules["nodes"].load_custom_node(str(PACK), module_parent="custom_nodes"))
    seconds = time.perf_counter() - start
    libraries = {name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names
    known = {name.partition(".")[0] for name in before}
    return host, seconds, sorted(name for name in libraries - known if not name.startswith("/"))


if __name__ == "__main__":
    main()
