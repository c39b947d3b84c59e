"""Small workflows that tests build in the page: nodes by name, with their widgets and links."""

BUILD = """graph_of => {
  const graph = window.app.rootGraph ?? window.app.graph;
  if (window.app.canvas.graph !== graph) window.app.canvas.setGraph(graph);
  graph.clear();
  const made = {};
  for (const [name, [type, place, widgets]] of Object.entries(graph_of.nodes)) {
    const node = made[name] = window.LiteGraph.createNode(type);
    graph.add(node);
    node.pos = place;
    for (const [key, value] of Object.entries(widgets)) {
      node.widgets.find(widget => widget.name === key).value = value;
    }
  }
  for (const [from, output, to, input] of graph_of.links) {
    const [source, target] = [made[from], made[to]];
    source.connect(source.findOutputSlot(output), target, target.findInputSlot(input));
  }
  return Object.fromEntries(Object.entries(made).map(([name, node]) => [name, String(node.id)]));
}"""
# Where the parts of a node with a noisy latent come from.
COMMON = (
    ("model", "MODEL", "model"),
    ("model", "CONDITIONING", "conditioning"),
    ("invert", "LATENT", "latent"),
    ("invert", "SIGMAS", "sigmas"),
)


def face_graph():
    """A face of the bundled model and its basis, with little to compute."""
    nodes = {
        "model": ("PullbackLoadFacesModel", [0, 0], {}),
        "face": ("PullbackExampleFace", [0, 160], {}),
        "encode": ("VAEEncode", [0, 320], {}),
        "invert": ("PullbackDDIMInvert", [0, 440], {"steps": 10, "refine": 1}),
        "basis": (
            "PullbackBasis",
            [0, 700],
            {"rank": 6, "tolerance": 0.1, "feature": "picture", "rotate": "one thing each"},
        ),
    }
    links = [
        ("face", "IMAGE", "encode", "pixels"),
        ("model", "VAE", "encode", "vae"),
        ("model", "MODEL", "invert", "model"),
        ("model", "CONDITIONING", "invert", "conditioning"),
        ("encode", "LATENT", "invert", "latent"),
        *((source, output, "basis", name) for source, output, name in COMMON),
    ]
    return {"nodes": nodes, "links": links}


def add_board(graph, name="board", place=(420, 0), **widgets):
    """Add a board of this basis to a graph. Returns the graph."""
    # The page remembers the widgets of a node of the same id that was there before.
    graph["nodes"][name] = ("PullbackBoard", list(place), {"words": "", "state": "", **widgets})
    graph["links"] += [(source, output, name, key) for source, output, key in COMMON]
    graph["links"] += [("basis", "PULLBACK_BASIS", name, "basis"), ("model", "VAE", name, "vae")]
    return graph
