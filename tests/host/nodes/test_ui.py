"""The texts that nodes show."""

import math
import sys
from types import SimpleNamespace

import pytest
import torch
from comfy_api.latest import io


@pytest.fixture(scope="module")
def ui(comfy_host):
    pack = comfy_host.nodes["PullbackBasis"].__module__.rpartition(".")[0]
    return sys.modules[f"{pack}.ui"]


@pytest.mark.parametrize(
    "error, expected",
    [
        (0.0, "recovered 100.000000%: no difference to see"),
        (0.0004, "recovered 99.960%: no difference to see"),
        (0.02, "recovered 98.0%: no difference to see"),
        (0.05, "recovered 95.0%: small differences; more steps or refine bring it nearer"),
        (1.5, "recovered 0.0%: another picture comes back; raise steps and refine"),
        (math.inf, "recovered nothing: the round trip left numbers that are not finite"),
        (math.nan, "recovered nothing: the round trip left numbers that are not finite"),
    ],
)
def test_a_report_says_how_much_of_a_picture_came_back(ui, error, expected):
    assert ui.round_trip_report(error).startswith(expected)


def test_reports_say_how_searches_ended(ui):
    done = SimpleNamespace(residuals=torch.tensor([0.001, 0.002]), products=40, converged=True)
    early = SimpleNamespace(residuals=torch.tensor([0.03]), products=50, converged=False)
    assert ui.search_report(done) == "residual 2.0e-03 after 40 products"
    assert ui.search_report(early) == "not fully converged: residual 3.0e-02 after 50 products"
    assert ui.searches_report([done, done]) == "residual 2.0e-03 or less after 80 products"
    assert ui.searches_report([done, early]) == (
        "not fully converged: residual 3.0e-02 or less after 90 products"
    )


def test_what_a_node_says_is_shown_and_kept(ui, comfy_host, monkeypatch):
    shown = []
    monkeypatch.setattr(comfy_host.adapter, "show_status", lambda node, text: shown.append((node, text)))
    assert ui.shown_text("a node", "as it went") == {"pullback_text": ["as it went"]}
    assert shown == [("a node", "as it went")]


def test_the_host_sends_again_what_nodes_showed(schemas):
    """Nodes that show something, by their hidden id or an output, where the host knows the field."""
    knows = hasattr(io.Schema, "has_intermediate_output")
    showing = [schema for schema in schemas.values() if schema.hidden or schema.is_output_node]
    assert len(showing) > 10
    for schema in showing:
        assert getattr(schema, "has_intermediate_output", False) is knows, schema.node_id
