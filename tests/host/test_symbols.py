"""Every name of ComfyUI that the pack uses exists in this ComfyUI, and takes the arguments it is given."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest

PACK = Path(__file__).parents[2]
SOURCES = sorted((PACK / "nodes").rglob("*.py"))
HOST = Path.cwd()


def missing_symbols(source):
    """What a source file uses of ComfyUI and this ComfyUI lacks, as a list of sentences."""
    tree = ast.parse(source)
    found = _imports(tree)
    problems = [f"{name} does not exist" for name, value in found.items() if value is None]
    probed = _probed_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            _, missing = _resolve(node, found)
            if missing and missing.rpartition(".")[2] not in probed:
                problems.append(f"{missing} does not exist")
        if isinstance(node, ast.Call):
            problems += _wrong_arguments(node, found)
    return sorted(set(problems))


def _imports(tree):
    """Local name -> ComfyUI's module, class or function; None for one that does not exist."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if _is_of_host(alias.name):
                    importlib.import_module(alias.name)
                    top = alias.name.split(".")[0]
                    found[alias.asname or top] = importlib.import_module(alias.name if alias.asname else top)
        elif isinstance(node, ast.ImportFrom) and not node.level and _is_of_host(node.module):
            module = importlib.import_module(node.module)
            for alias in node.names:
                found[alias.asname or alias.name] = getattr(module, alias.name, None)
    return found


def _is_of_host(module):
    top = module.split(".")[0]
    return (HOST / f"{top}.py").is_file() or (HOST / top / "__init__.py").is_file() or (HOST / top).is_dir()


def _probed_names(tree):
    """Names that the file asks for with hasattr or getattr before it uses them: this host may lack them."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in ("hasattr", "getattr") and isinstance(node.args[1], ast.Constant):
                names.add(node.args[1].value)
    return names


def _resolve(node, found):
    """The object of a dotted name, or None; and the dotted name that the host lacks, or None."""
    if isinstance(node, ast.Name):
        return found.get(node.id), None
    if not isinstance(node, ast.Attribute):
        return None, None
    owner, missing = _resolve(node.value, found)
    if missing or not (inspect.ismodule(owner) or inspect.isclass(owner)):
        return None, missing
    if hasattr(owner, node.attr):
        return getattr(owner, node.attr), None
    if inspect.isclass(owner) and re.search(
        rf"\b{owner.__name__}\.{node.attr} = self", inspect.getsource(owner)
    ):
        return owner, None  # the one instance, which a running server sets: its methods are the class's
    return None, ast.unparse(node)


def _wrong_arguments(call, found):
    function, _ = _resolve(call.func, found)
    spread = any(isinstance(part, ast.Starred) for part in call.args) or any(
        word.arg is None for word in call.keywords
    )
    if spread or not callable(function):
        return []
    method = (
        inspect.isfunction(function) and isinstance(call.func, ast.Attribute) and "." in function.__qualname__
    )
    count = len(call.args) + (1 if method else 0)
    try:
        inspect.signature(function).bind(*[None] * count, **{word.arg: None for word in call.keywords})
    except TypeError as error:
        return [f"{ast.unparse(call.func)} cannot be called as in {ast.unparse(call)}: {error}"]
    return []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACK / "nodes")))
def test_every_symbol_of_the_host_exists_and_takes_what_it_is_given(comfy_host, path):
    assert not missing_symbols(path.read_text())


@pytest.mark.parametrize(
    "source, problem",
    [
        (
            "import comfy.utils\ncomfy.utils.no_such_function(1)",
            "comfy.utils.no_such_function does not exist",
        ),
        ("from comfy.utils import nothing", "nothing does not exist"),
        ("import comfy.samplers as s\nclass A(s.NoSampler): pass", "s.NoSampler does not exist"),
        ("import comfy.utils\ncomfy.utils.ProgressBar(1, two=2)", "comfy.utils.ProgressBar cannot be called"),
        (
            "from server import PromptServer\nPromptServer.instance.say()",
            "PromptServer.instance.say does not exist",
        ),
    ],
)
def test_a_missing_symbol_is_named(comfy_host, source, problem):
    (found,) = missing_symbols(source)
    assert found.startswith(problem)


def test_a_symbol_that_is_asked_for_first_may_be_missing(comfy_host):
    assert not missing_symbols("import comfy.utils\nif hasattr(comfy.utils, 'newest'): comfy.utils.newest()")
