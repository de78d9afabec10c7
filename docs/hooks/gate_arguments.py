"""Write the arguments of gates into the reference of each layer that takes them.

At run time the decorator `takes_gate_arguments` does this. The reference is made from the source,
so that building it needs no backend.
"""

import griffe

DECORATOR = "takes_gate_arguments"


class GateArguments(griffe.Extension):
    """Treat each class with the decorator as the decorator does."""

    def on_package(self, *, pkg, **kwargs):
        """Complete the signatures and docstrings of a package that has been read."""
        source = pkg["gating.arguments"]
        arguments = source["GateArguments"]
        documented = arguments.docstring.value.split("Args:\n", 1)[1].rstrip()
        defaults = {each.name: each.value for each in source["DEFAULTS"].value.arguments}
        added = [
            griffe.Parameter(
                name,
                annotation=attribute.annotation,
                kind=griffe.ParameterKind.keyword_only,
                default=defaults[name],
            )
            for name, attribute in arguments.attributes.items()
        ]
        for room in pkg.modules.values():
            for module in room.modules.values():
                for layer in module.classes.values():
                    # What a module imports is listed in it, too.
                    if not layer.is_alias and takes_gate_arguments(layer):
                        complete(layer, documented, added)


def takes_gate_arguments(layer):
    """Tell whether a class has the decorator."""
    return any(DECORATOR in str(each.value) for each in layer.decorators)


def complete(layer, documented, added):
    """Put arguments in front of `**kwargs`, in the docstring and in the signature."""
    head, rest = layer.docstring.value.split("    **kwargs:", 1)
    layer.docstring.value = f"{head}{documented}\n    **kwargs:{rest}"
    *own, others = layer["__init__"].parameters
    others.annotation = None
    layer["__init__"].parameters = griffe.Parameters(*own, *added, others)
