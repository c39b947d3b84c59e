"""The system's Chromium, driven by playwright. Nothing is downloaded."""

import contextlib
import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_browser():
    """The path of the system's Chromium, or a reason to skip."""
    pytest.importorskip("playwright.sync_api", reason="no playwright; see requirements-test.txt")
    found = [path for path in map(shutil.which, NAMES) if path]
    if not found:
        pytest.skip(f"no {' or '.join(NAMES)}; install one to test the page")
    return found[0]


@contextlib.contextmanager
def open_browser(path):
    """A running browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield opened
        opened.close()
