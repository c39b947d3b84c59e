"""The README's example of diffusers, on a small pipeline in the place of Stable Diffusion."""

from tiny_pipelines import diffusers, draw


def test_the_example_of_the_readme_runs(readme_blocks, pipelines, monkeypatch):
    pipeline = pipelines["sd"]
    monkeypatch.setattr(pipeline, "to", lambda device: pipeline)
    monkeypatch.setattr(diffusers.StableDiffusionPipeline, "from_pretrained", lambda name: pipeline)
    made = {"image": draw(1, 3, 16, 16).tanh()}
    exec(compile(readme_blocks[1], "README.md", "exec"), made)
    assert made["result"].shape == made["image"].shape and made["result"].isfinite().all()
    assert made["basis"].converged
