"""What importing the package costs."""

import subprocess
import sys
from pathlib import Path


def test_importing_the_module_imports_nothing_of_its_host():
    script = "import sys, pullback_core, pullback_core.models.diffusers; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[3],
        check=True,
        capture_output=True,
        text=True,
    )
    loaded = set(done.stdout.split())
    assert "pullback_core.models.diffusers" in loaded and not {"diffusers", "transformers"} & loaded
