"""What the docstrings of pullback_core say agrees with the code.

ruff checks their form. This file checks what ruff cannot: the headings Args, Returns and Raises are there
where they belong, Args are complete and in order, and no public name goes without a docstring.
"""

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator

import pytest

import pullback_core
from pullback_core import faces
from pullback_core.models import diffusers

MODULES = [
    module.name
    for module in pkgutil.walk_packages(pullback_core.__path__, "pullback_core.")
    if not module.name.endswith("__main__")
]
MOST_WITHOUT_ARGS = 2  # parameters of a function whose docstring is one line


def described_names(docstring, heading):
    """The names under a heading in Google style, or None without this heading."""
    found = re.search(rf"^{heading}:\n((?:[ ].*\n|\n)*)", f"{docstring}\n", re.MULTILINE)
    return found and re.findall(r"^    \*{0,2}(\w+)(?: \(.*?\))?:", found[1], re.MULTILINE)


def parameters_of(function):
    """The names of the parameters of a function, without self and cls, which are not described."""
    return [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]


def functions_of(module):
    """(name, function) of everything that is defined in a module: functions, and methods of classes."""
    for name, value in vars(module).items():
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(value) and "<locals>" not in value.__qualname__:
            yield name, value
        elif inspect.isclass(value):
            for method_name, method in vars(value).items():
                method = inspect.unwrap(getattr(method, "__func__", method))
                if inspect.isfunction(method) and method.__module__ == module.__name__:
                    yield f"{name}.{method_name}", method


def is_public(name):
    return not any(part.startswith("_") for part in name.split("."))


def headings_of(docstring):
    return re.findall(r"^(\w+):$", docstring, re.MULTILINE)


def returns_something(function):
    """False for context managers that give nothing, too."""
    return inspect.signature(function).return_annotation not in (
        None,
        Iterator[None],
        inspect.Signature.empty,
    )


def raises_something(function):
    """Whether the function itself raises an error. Functions within it do not count."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    functions = [node for node in ast.walk(definition) if isinstance(node, ast.FunctionDef)]
    elsewhere = {child for inner in functions[1:] for child in ast.walk(inner)}
    raises = [node for node in ast.walk(definition) if isinstance(node, ast.Raise) and node.exc]
    return any(node not in elsewhere for node in raises)


def missing_headings(name, function, docstring):
    """The headings that the docstring of a public function lacks. One line is enough for few parameters."""
    parameters, headings = parameters_of(function), headings_of(docstring)
    if (
        not is_public(name)
        or not docstring
        or ("\n" not in docstring and len(parameters) <= MOST_WITHOUT_ARGS)
    ):
        return []
    needed = {
        "Args": bool(parameters),
        "Returns": returns_something(function) and "Yields" not in headings,
        "Raises": raises_something(function),
    }
    return [heading for heading, is_needed in needed.items() if is_needed and heading not in headings]


def complaints_about(name, function):
    """What is wrong with the docstring of a function, as sentences."""
    docstring = inspect.cleandoc(function.__doc__ or "")
    described = described_names(docstring, "Args")
    if described is not None and described != parameters_of(function):
        yield f"{name}{inspect.signature(function)} describes {', '.join(described)}"
    for heading in missing_headings(name, function, docstring):
        yield f"{name}{inspect.signature(function)} has no {heading}"


@pytest.mark.parametrize("name", MODULES)
def test_headings_fit_the_signature(name):
    module = importlib.import_module(name)
    assert [text for pair in functions_of(module) for text in complaints_about(*pair)] == []


@pytest.mark.parametrize("name", MODULES)
def test_public_names_have_docstrings(name):
    module = importlib.import_module(name)
    classes = {key: value for key, value in vars(module).items() if inspect.isclass(value)}
    lacking = [
        full_name
        for full_name, function in functions_of(module)
        if is_public(full_name) and not inspect.getdoc(inherited(classes, full_name, function))
    ]
    assert module.__doc__ and lacking == []


def inherited(classes, name, function):
    """A method as an attribute of its class, which finds the docstring of the method that it overrides."""
    class_name, dot, method_name = name.partition(".")
    return getattr(classes[class_name], method_name) if dot else function


EXPORTED = [vars(package)[name] for package in (pullback_core, faces, diffusers) for name in package.__all__]


@pytest.mark.parametrize(
    "kind", [value for value in EXPORTED if inspect.isclass(value)], ids=lambda kind: kind.__name__
)
def test_the_parameters_of_a_class_are_described(kind):
    described = described_names(inspect.getdoc(kind), "(?:Args|Attributes)") or []
    given = [] if kind.__init__ is object.__init__ else parameters_of(kind)
    assert set(given) <= set(described), f"{kind.__name__}{inspect.signature(kind)} describes {described}"
