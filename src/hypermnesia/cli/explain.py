"""`hypermnesia explain`."""

from __future__ import annotations

from typing import Annotated

import typer

from hypermnesia.cli.options import Recipe


def explain_command(
    method: Annotated[str, typer.Argument(help="See `hypermnesia list methods`.")],
    benchmark: Annotated[
        str, typer.Option(help="Whose settings to show; see `list benchmarks`.")
    ] = "split-mnist",
    recipe: Recipe = None,
) -> None:
    """Show a method's equations, source, needs and settings.

    For example:

    hypermnesia explain hnet --benchmark split-mnist
    """
    from hypermnesia.cli.tables import show_explanation
    from hypermnesia.experiments.explain import explain

    show_explanation(explain(method, benchmark, recipe))
