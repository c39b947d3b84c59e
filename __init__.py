"""ComfyUI-Pullback: edit pictures along the directions that a diffusion model itself knows."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """What ComfyUI calls to get the nodes. Nothing is imported before, so that the core can be used without ComfyUI."""
    from .nodes import PullbackExtension

    return PullbackExtension()
