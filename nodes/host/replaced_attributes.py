"""Other values for attributes, for a while."""

from contextlib import contextmanager


@contextmanager
def replaced_attributes(owner, **values):
    """Within it, attributes of an object have other values. Exit restores them, also after an exception.

    An attribute that was not the object's own is deleted on exit: its class may have it, or it did not exist.

    >>> with replaced_attributes(comfy.ops, fp8_linear=None):
    ...     model(x)

    Args:
        owner: An instance, a class or a module.
        **values: The values, by the names of the attributes.
    """
    before = {name: vars(owner)[name] for name in values if name in vars(owner)}
    try:
        for name, value in values.items():
            setattr(owner, name, value)
        yield
    finally:
        for name in values:
            if name in before:
                setattr(owner, name, before[name])
            elif name in vars(owner):
                delattr(owner, name)
