"""Progress bars: what they show, and that every update can cancel."""

from types import SimpleNamespace

import comfy.model_management
import comfy.utils
import pytest
import torch
from tiny_families import draw
from tiny_models import tiny_model


@pytest.fixture
def shown(monkeypatch):
    """What bars show, as a list of (done, total, whether there is a preview)."""
    seen = []

    class Bar:
        def __init__(self, total):
            pass

        def update_absolute(self, done, total, preview):
            seen.append((done, total, preview is not None))

    monkeypatch.setattr(comfy.utils, "ProgressBar", Bar)
    return seen


def test_steps_count_up_and_updates_may_change_the_total(comfy_host, shown):
    bar = comfy_host.adapter.Progress(3)
    bar.step()
    bar.step()
    bar.update(50, 100)
    bar.step()
    assert shown == [(1, 3, False), (2, 3, False), (50, 100, False), (51, 3, False)]


def test_a_residual_shows_its_orders_of_magnitude(comfy_host, shown):
    bar = comfy_host.adapter.Progress(100)
    for residual in (float("inf"), 1.0, 0.1, 0.5, 0.01, 0.001):
        bar.update_residual(residual, 0.01)
    assert [done for done, *_ in shown] == [0, 0, 50, 50, 100, 100]


def test_searches_share_the_bar(comfy_host, shown):
    bar = comfy_host.adapter.Progress(100)
    for index in range(4):
        bar.update_residual(0.01, 0.01, index, 4)
    assert [done for done, *_ in shown] == [25, 50, 75, 100]


def test_a_part_of_the_bar_is_filled_by_its_own_work(comfy_host, shown):
    bar = comfy_host.adapter.Progress(100)
    first, second = bar.part(0, 50), bar.part(50, 100)
    for update, done in ((first, 1), (first, 4), (second, 1), (second, 4)):
        update(done, 4)
    assert [done for done, *_ in shown] == [12, 50, 62, 100]


def test_a_noisy_latent_is_shown_in_the_scale_of_the_network(comfy_host, shown, monkeypatch):
    bar, previews = comfy_host.adapter.Progress(2), []
    monkeypatch.setattr(bar, "update", lambda done, total=None, x0=None: previews.append(x0))
    schedule = comfy_host.adapter.schedule_of(tiny_model())
    sigmas = torch.tensor([2.0, 0.0])
    noisy = comfy_host.core.NoisyLatent(draw(1, 4, 8, 8, seed=1), sigmas)
    bar.step_noisy(noisy, schedule)
    torch.testing.assert_close(previews[0], noisy.x / 5**0.5)


def test_every_update_can_cancel(comfy_host, shown, monkeypatch):
    class Cancelled(Exception):
        pass

    def cancel():
        raise Cancelled

    bar = comfy_host.adapter.Progress(3, tiny_model())
    monkeypatch.setattr(comfy.model_management, "throw_exception_if_processing_interrupted", cancel)
    for update in (bar.step, lambda: bar.update(1), lambda: bar.update_residual(0.1, 0.01)):
        with pytest.raises(Cancelled):
            update()
    assert not shown


def test_there_are_previews_where_the_user_wants_them(comfy_host, shown, monkeypatch):
    import latent_preview

    class Previewer:
        def decode_latent_to_preview_image(self, form, x0):
            return form, x0, 512

    monkeypatch.setattr(latent_preview, "get_previewer", lambda device, latent_format: Previewer())
    bar = comfy_host.adapter.Progress(2, tiny_model())
    bar.step(draw(1, 4, 8, 8, seed=0))
    bar.step()
    assert shown == [(1, 2, True), (2, 2, False)]


def test_a_status_is_shown_where_a_server_runs_the_node(comfy_host, monkeypatch):
    from server import PromptServer  # after `comfy_host`, which makes ComfyUI's own imports possible

    sent = []
    server = SimpleNamespace(send_progress_text=lambda text, node_id: sent.append((text, node_id)))
    monkeypatch.setattr(PromptServer, "instance", server, raising=False)
    for hidden in (None, SimpleNamespace(unique_id=None), SimpleNamespace(unique_id="7")):
        comfy_host.adapter.show_status(SimpleNamespace(hidden=hidden), "half done")
    assert sent == [("half done", "7")]
