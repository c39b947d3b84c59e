"""From a workflow as the page saves it to a prompt as the server runs it."""

NOTES = {"Note", "MarkdownNote"}
ALWAYS, MUTED, BYPASSED = 0, 2, 4
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
LOADERS = {"CheckpointLoaderSimple", "UNETLoader", "VAELoader"}
BUNDLED = dict.fromkeys(LOADERS, "PullbackLoadFacesModel") | {
    "CLIPTextEncode": "PullbackFacesPrompt",
    "LoadImage": "PullbackExampleFace",
}
STAND_INS = {"UNETLoader": "StandInModel", "DualCLIPLoader": "StandInCLIP", "VAELoader": "StandInVAE"}


def api_prompt(workflow, known):
    """A workflow in the page's format -> {node id: {"class_type": ..., "inputs": {...}}}.

    known: the server's /object_info. Widgets at the end that have no value get their default, as in the page.
    Raises ValueError for a node type that it does not list, and for values that belong to no widget.
    """
    nodes = {node["id"]: node for node in workflow["nodes"]}
    links = {link[0]: link[1:3] for link in workflow["links"]}
    return {
        str(number): {
            "class_type": node["type"],
            "inputs": {**_values(node, known), **_sources(node, nodes, links)},
        }
        for number, node in nodes.items()
        if node["mode"] == ALWAYS and node["type"] not in NOTES | {"Reroute"}
    }


def wake(workflow):
    """The same workflow with its muted nodes active, as after Ctrl+M."""
    return {
        **workflow,
        "nodes": [
            {**node, "mode": ALWAYS if node["mode"] == MUTED else node["mode"]} for node in workflow["nodes"]
        ],
    }


def with_bundled_model(prompt, number=5):
    """The prompt of a workflow for checkpoints, with the bundled model and an example face in their place."""
    prompt = {
        key: {
            "class_type": BUNDLED.get(node["class_type"], node["class_type"]),
            "inputs": {} if node["class_type"] in LOADERS else dict(node["inputs"]),
        }
        for key, node in prompt.items()
        if node["class_type"] != "DualCLIPLoader"
    }
    loaders = {key for key, node in prompt.items() if node["class_type"] == "PullbackLoadFacesModel"}
    for node in prompt.values():
        inputs = node["inputs"]
        if node["class_type"] in BUNDLED.values():
            if inputs.pop("clip", None):
                inputs["text"] = ""
            if inputs.pop("image", None):
                inputs["number"] = number
        if node["class_type"] == "ImageScale":
            inputs["width"] = inputs["height"] = 48
        if inputs.get("vae", [None])[0] in loaders:
            inputs["vae"] = [inputs["vae"][0], 1]  # a checkpoint has a CLIP before its VAE
    return prompt


def with_stand_ins(prompt, size=128):
    """The prompt of the workflow for Flux.1 dev, with the loaders of `stand_ins` and a smaller picture."""
    prompt = {
        key: {"class_type": STAND_INS[node["class_type"]], "inputs": {}}
        if node["class_type"] in STAND_INS
        else node
        for key, node in prompt.items()
    }
    for node in prompt.values():
        if node["class_type"] == "ImageScale":
            node["inputs"].update(width=size, height=size)
    return prompt


def _values(node, known):
    """The widgets of a node, which are saved by position."""
    if node["type"] not in known:
        raise ValueError(f"The server knows no node {node['type']!r}.")
    rest = list(node["widgets_values"])
    values = {}
    for part in ("required", "optional"):
        for name, (kind, *options) in known[node["type"]]["input"].get(part, {}).items():
            options = options[0] if options else {}
            if not (isinstance(kind, list) or kind in WIDGETS):
                continue
            if not rest:  # a widget that the node has got since the workflow was saved
                values[name] = options["default"]
                continue
            values[name] = rest.pop(0)
            extra = options.get("control_after_generate", name in ("seed", "noise_seed")) + bool(
                options.get("image_upload")
            )
            del rest[:extra]
    if rest:
        raise ValueError(f"Node {node['id']} ({node['type']}) has values for no widget: {rest}.")
    return values


def _sources(node, nodes, links):
    """The linked inputs of a node: name -> [node id, output]."""
    found = {socket["name"]: _origin(socket["link"], nodes, links) for socket in node["inputs"]}
    return {name: source for name, source in found.items() if source}


def _origin(link, nodes, links):
    """The output where a link begins, behind reroutes and bypassed nodes; None for none or a muted node."""
    if link is None:
        return None
    number, slot = links[link]
    node = nodes[number]
    if node["type"] == "Reroute":
        return _origin(node["inputs"][0]["link"], nodes, links)
    if node["mode"] == MUTED:
        return None
    if node["mode"] == BYPASSED:
        kind = node["outputs"][slot]["type"]
        return next(
            (_origin(socket["link"], nodes, links) for socket in node["inputs"] if socket["type"] == kind),
            None,
        )
    return [str(number), slot]
