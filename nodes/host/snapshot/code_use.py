"""What the code of a function does with the variables around it, read from its bytecode.

A snapshot asks two questions that the values of variables cannot answer:

- Which outer variables does the function assign? Only these can change. Most functions assign none, so most
  patched models remember nothing, and no extra sampling is needed to learn what they remember.
- Which lists does it only append to? Such a list is a record for a reader outside, for example of the noise
  levels that were met. Restoring it would erase the record.

>>> count, record = 0, []
>>> def wrapper(x):
...     global count
...     count += 1
...     record.append(x)
>>> use = code_use(wrapper.__code__)
>>> use.assigned, use.only_appended
(frozenset({'count'}), frozenset({'record'}))
"""

import dis
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from types import CodeType, FunctionType

from .boundaries import is_foreign

ASSIGNMENTS = ("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF", "DELETE_DEREF")
NO_USE = ("CACHE", "PUSH_NULL", "LOAD_CLOSURE")  # instructions that say nothing about a variable


@dataclass(frozen=True)
class CodeUse:
    """How code uses names that are not its local variables: outer variables and attributes.

    Attributes:
        assigned: Outer variables that the code assigns.
        appended: Names whose method `append` the code calls.
        other: Names that the code uses in any other way, the assigned ones included.
        sets_attributes: Whether the code sets an attribute of anything.
    """

    assigned: frozenset[str] = frozenset()
    appended: frozenset[str] = frozenset()
    other: frozenset[str] = frozenset()
    sets_attributes: bool = False

    def __or__(self, more: "CodeUse") -> "CodeUse":
        return CodeUse(
            self.assigned | more.assigned,
            self.appended | more.appended,
            self.other | more.other,
            self.sets_attributes or more.sets_attributes,
        )

    @property
    def names(self) -> frozenset[str]:
        """All names that the code uses."""
        return self.appended | self.other

    @property
    def only_appended(self) -> frozenset[str]:
        """Names of lists that the code appends to, and uses in no other way."""
        return self.appended - self.other


@lru_cache(maxsize=4096)
def code_use(code: CodeType) -> CodeUse:
    """How a code object and the functions inside it use names."""
    instructions = [one for one in dis.get_instructions(code) if one.opname not in NO_USE]
    assigned = {one.argval for one in instructions if one.opname in ASSIGNMENTS}
    appended, other = set(), set(assigned)
    for one, following in pairwise([*instructions, None]):
        if _loads_a_name(one):
            appends = following is not None and following.argval == "append"
            (appended if appends else other).add(one.argval)
    sets_attributes = any(one.opname == "STORE_ATTR" for one in instructions)
    use = CodeUse(frozenset(assigned), frozenset(appended), frozenset(other), sets_attributes)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            use |= code_use(constant)
    return use


def _loads_a_name(instruction: dis.Instruction) -> bool:
    """Whether an instruction loads an outer variable or an attribute. FAST ones load local variables."""
    name = instruction.opname
    return name.startswith("LOAD_") and "FAST" not in name and isinstance(instruction.argval, str)


@lru_cache(maxsize=4096)
def record_attributes(kind: type) -> frozenset[str]:
    """Attributes of a class that its methods only append to."""
    use = CodeUse()
    for base in kind.__mro__:
        if not is_foreign(base.__module__):
            for method in vars(base).values():
                if isinstance(method, FunctionType):
                    use |= code_use(method.__code__)
    return use.only_appended
