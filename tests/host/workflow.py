"""From a workflow as the page saves it to a prompt as the server runs it."""

NOTES = {"Note", "MarkdownNote"}
ALWAYS, MUTED, BYPASSED = 0, 2, 4
INPUTS_OF_SUBGRAPH = -10  # the id by which a subgraph names its own inputs
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
LOADERS = {"CheckpointLoaderSimple", "UNETLoader", "VAELoader"}
BUNDLED = dict.fromkeys(LOADERS, "PullbackLoadFacesModel") | {
    "CLIPTextEncode": "PullbackFacesPrompt",
    "LoadImage": "PullbackExampleFace",
}
STAND_INS = {"UNETLoader": "StandInModel", "DualCLIPLoader": "StandInCLIP", "VAELoader": "StandInVAE"}


class Level:
    """The nodes of a workflow, or of one subgraph in it.

    graph: the workflow, or the definition of the subgraph; definitions: of all subgraphs, by id;
    outside: the level that has the subgraph's own node; node: this node.
    """

    def __init__(self, graph, definitions, outside=None, node=None):
        self.graph, self.outside, self.node = graph, outside, node
        self.prefix = f"{outside.prefix}{node['id']}:" if node else ""
        self.nodes = {inner["id"]: inner for inner in graph["nodes"]}
        self.links = dict(_beginning(link) for link in graph["links"])
        self.inner = {
            number: Level(definitions[inner["type"]], definitions, self, inner)
            for number, inner in self.nodes.items()
            if inner["type"] in definitions
        }

    def all(self):
        """This level and all levels inside it."""
        return [self, *[deeper for inner in self.inner.values() for deeper in inner.all()]]


def levels(workflow):
    """The workflow and every subgraph in it."""
    definitions = workflow.get("definitions", {}).get("subgraphs", [])
    return Level(workflow, {definition["id"]: definition for definition in definitions}).all()


def api_prompt(workflow, known):
    """A workflow in the page's format -> {node id: {"class_type": ..., "inputs": {...}}}.

    known: the server's /object_info. Widgets at the end that have no value get their default, as in the page.
    Node 6 of the subgraph whose own node is 4 is "4:6".
    Raises ValueError for a node type that the server does not list, and for values that belong to no widget.
    """
    return {
        f"{level.prefix}{number}": {
            "class_type": node["type"],
            "inputs": {**_values(node, known), **_sources(node, level)},
        }
        for level in levels(workflow)
        for number, node in level.nodes.items()
        if node["mode"] == ALWAYS and node["type"] not in NOTES | {"Reroute"} and number not in level.inner
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
        inputs.pop("clip", None)
        if node["class_type"] == "PullbackFacesPrompt":
            inputs["text"] = ""
        if node["class_type"] == "PullbackExampleFace":
            inputs.clear()
            inputs["number"] = number
        if inputs.get("vae", [None])[0] in loaders:
            inputs["vae"] = [inputs["vae"][0], 1]  # a checkpoint has a CLIP before its VAE
    return with_size(prompt, 48)


def with_stand_ins(prompt, size=128):
    """The prompt of the workflow for Flux.1 dev, with the loaders of `stand_ins` and a smaller picture."""
    prompt = {
        key: {"class_type": STAND_INS[node["class_type"]], "inputs": {}}
        if node["class_type"] in STAND_INS
        else node
        for key, node in prompt.items()
    }
    return with_size(prompt, size)


def with_size(prompt, side):
    """The prompt with pictures of side x side pixels where it scales them to the size of a checkpoint."""
    for node in prompt.values():
        if node["class_type"] == "ImageScaleToTotalPixels":
            node["class_type"] = "ImageScale"
            node["inputs"] = {
                "image": node["inputs"]["image"],
                "upscale_method": "lanczos",
                "width": side,
                "height": side,
                "crop": "center",
            }
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


def _beginning(link):
    """A link -> its number and (node, slot) where it begins. Subgraphs write links as objects."""
    if isinstance(link, dict):
        return link["id"], (link["origin_id"], link["origin_slot"])
    return link[0], tuple(link[1:3])


def _sources(node, level):
    """The inputs of a node that come from elsewhere: name -> [node id, output], or the value of a widget."""
    found = {socket["name"]: _origin(socket["link"], level) for socket in node["inputs"]}
    return {name: source for name, source in found.items() if source is not None}


def _origin(link, level):
    """Where a link begins, behind reroutes, bypassed nodes and the borders of subgraphs.

    None for no link and for a muted node; a value for a link from a widget of a subgraph's own node.
    """
    if link is None:
        return None
    number, slot = level.links[link]
    if number == INPUTS_OF_SUBGRAPH:
        return _outside(level.node["inputs"][slot], level)
    if number in level.inner:
        inner = level.inner[number]
        return _origin(inner.graph["outputs"][slot]["linkIds"][0], inner)
    node = level.nodes[number]
    if node["type"] == "Reroute":
        return _origin(node["inputs"][0]["link"], level)
    if node["mode"] == MUTED:
        return None
    if node["mode"] == BYPASSED:
        kind = node["outputs"][slot]["type"]
        fitting = [socket["link"] for socket in node["inputs"] if socket["type"] == kind]
        return _origin(fitting[0], level) if fitting else None
    return [f"{level.prefix}{number}", slot]


def _outside(socket, level):
    """What a socket of a subgraph's own node has: a source, or the value of its widget."""
    if socket["link"] is not None or "widget" not in socket:
        return _origin(socket["link"], level.outside)
    widgets = [other["name"] for other in level.node["inputs"] if "widget" in other]
    return level.node["widgets_values"][widgets.index(socket["name"])]
