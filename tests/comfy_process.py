"""A ComfyUI that runs as a process of its own, for the tests that need one."""

import os
import socket
import subprocess
import time
import urllib.request

PATIENCE = 10  # seconds that a process may take to end by itself


class ComfyProcess:
    """ComfyUI on a free port, without a graphics card. It runs when this returns.

    host: its folder; python: its interpreter; base: the folder of its custom_nodes, input and output; limit:
    seconds that a start or an answer may take; options: more of the command line.
    """

    def __init__(self, host, python, base, limit, *options):
        self.log, self._limit = base / "server.log", limit
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [python, "main.py", "--cpu", "--port", str(port), "--base-directory", str(base), *options],
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
            cwd=host,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        try:
            self._wait_for_start()
        except BaseException:
            self.stop()
            raise

    def _wait_for_start(self):
        deadline = time.monotonic() + self._limit
        while True:
            try:
                return self.get("/system_stats")
            except OSError:
                ended = self._process.poll() is not None
                assert not ended and time.monotonic() < deadline, (
                    f"the server did not start:\n{self.log.read_text(errors='replace')[-3000:]}"
                )
                time.sleep(0.2)

    def get(self, path):
        """The bytes of the answer to a request."""
        with urllib.request.urlopen(self.url + path, timeout=self._limit) as answer:
            return answer.read()

    def stop(self):
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _free_port():
    """A port that nothing listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
