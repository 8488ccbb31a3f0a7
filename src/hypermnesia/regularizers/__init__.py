"""What keeps a hypernetwork from changing the weights that it makes for earlier tasks."""

from hypermnesia.regularizers.base import (
    REGULARIZERS,
    OutputRegularizer,
    Parameters,
    RegularizerSettings,
    Snapshot,
)
from hypermnesia.regularizers.reference import DirectRegularizer

__all__ = [
    "REGULARIZERS",
    "DirectRegularizer",
    "OutputRegularizer",
    "Parameters",
    "RegularizerSettings",
    "Snapshot",
]
