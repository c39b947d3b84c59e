"""ComfyUI-Pullback: edit pictures along the directions that a diffusion model itself knows."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """ComfyUI calls this to get the nodes. Nothing is imported before, so the core works without ComfyUI."""
    from .nodes import PullbackExtension, host

    host.register_routes()
    return PullbackExtension()
