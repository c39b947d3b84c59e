"""What the page asks the server for: the list of basis files, their thumbnails, and to keep a setting."""

import asyncio
import logging

from aiohttp import web
from server import PromptServer

from .board import keep_setting
from .library import library_entries, library_thumbnail

LIBRARY, THUMBNAIL, KEEP = "/pullback/library", "/pullback/library/thumbnail", "/pullback/keep"
KEEP_FIELDS = ("node", "name", "state")


def register_routes():
    """Add the routes to the host's server. Without a server, as in scripts, nothing happens."""
    server = getattr(PromptServer, "instance", None)
    if server is None:
        return
    if any(getattr(route, "path", "") == LIBRARY for route in server.routes):
        return  # the pack was loaded twice
    server.routes.get(LIBRARY)(_get_library)
    server.routes.get(THUMBNAIL)(_get_thumbnail)
    server.routes.post(KEEP)(_keep)


async def _get_library(request):
    # In a thread, because folders may hold hundreds of files and the server has one loop.
    return web.json_response(await asyncio.to_thread(library_entries))


async def _get_thumbnail(request):
    file = request.query.get("file", "")
    try:
        picture = await asyncio.to_thread(library_thumbnail, file)
    except (ValueError, OSError) as error:
        return _refused(error, 404)
    if picture is None:
        return _refused(f"The basis file {file!r} has no thumbnail.", 404)
    return web.Response(body=picture, content_type="image/png")


async def _keep(request):
    try:
        sent = await request.json()
        values = [sent[field] for field in KEEP_FIELDS]
    except (ValueError, KeyError, TypeError):
        return _refused(f"The request must be a JSON object with {', '.join(KEEP_FIELDS)}.")
    if not all(isinstance(value, str) for value in values):
        return _refused(f"Each of {', '.join(KEEP_FIELDS)} must be a text.")
    node, name, state = values
    try:
        file = await asyncio.to_thread(keep_setting, node, state, name)
    except (ValueError, OSError) as error:
        return _refused(error)
    return web.json_response({"file": file})


def _refused(reason, status=400):
    logging.warning("%s", reason)
    return web.json_response({"error": str(reason)}, status=status)
