"""Score distillation for ComfyUI: text to image, to NeRF and to a coloured mesh.

Nothing is imported here, so that ComfyUI starts quickly and test runners can import the folder.
"""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """Called by ComfyUI; the nodes are imported only then."""
    from .nodes import TBSDExtension

    return TBSDExtension()
