"""One node per guidance method: the method's settings together with the models and prompts it works on.

They follow from the methods' files (tbsd_core/guidance): a new method needs nothing here.
"""

from ...tbsd_core.guidance import METHODS
from .node import guidance_node

# the pack's own method comes first in the menu
NODES = [guidance_node(spec) for spec in sorted(METHODS.values(), key=lambda spec: spec.name != "tbsd")]

__all__ = ["NODES"]
