"""A ComfyUI that serves its page, in folders of its own."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from comfy_process import ComfyProcess

PACK = Path(__file__).parents[2]
NAME = "ComfyUI-Pullback"
RENDERERS = ("classic", "nodes2")  # the page draws nodes on its canvas, or as elements (Nodes 2.0)
LIMIT = 600  # seconds that a start or a run may take; far more than a busy machine needs


class RunningServer:
    """A server of ComfyUI at an address. The pack is installed there."""

    def __init__(self, url):
        self.url = url

    def get(self, path):
        """The answer to a request, decoded from JSON."""
        with urllib.request.urlopen(self.url + path, timeout=LIMIT) as answer:
            return json.loads(answer.read())

    def download(self, file):
        """The bytes of a file that an output names."""
        query = urllib.parse.urlencode(file)
        with urllib.request.urlopen(f"{self.url}/view?{query}", timeout=LIMIT) as answer:
            return answer.read()

    def post(self, path, content):
        """Send JSON; raises `urllib.error.HTTPError` where the server refuses it."""
        request = urllib.request.Request(
            self.url + path, json.dumps(content).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:
            return answer.read()

    def use_renderer(self, name):
        """Set how the page draws nodes, and that it does not greet a new user."""
        self.post("/settings", {"Comfy.VueNodes.Enabled": name == "nodes2", "Comfy.TutorialCompleted": True})

    def is_idle(self):
        """Whether nothing runs and nothing waits."""
        return not any(self.get("/queue").values())

    def wait_until_idle(self):
        """Wait until nothing runs and nothing waits."""
        deadline = time.monotonic() + LIMIT
        while not self.is_idle():
            assert time.monotonic() < deadline, "the queue did not empty"
            time.sleep(0.1)

    def history(self):
        """What was run, the oldest first: the answers of /history."""
        return list(self.get("/history").values())


class PageServer(RunningServer):
    """A running server of one ComfyUI; the pack is linked into its custom_nodes.

    host: ComfyUI's folder; python: its interpreter; base: an empty folder; options: more of the command line.
    """

    def __init__(self, host, python, base, *options):
        (base / "custom_nodes").mkdir()
        (base / "custom_nodes" / NAME).symlink_to(PACK, target_is_directory=True)
        self._process = ComfyProcess(host, python, base, LIMIT, *options)
        super().__init__(self._process.url)

    def stop(self):
        """End the server."""
        self._process.stop()
