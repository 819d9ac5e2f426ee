"""One node per guidance method: the method's settings together with the models and prompts it works on.

To add one: a file named like the method's in tbsd_core/guidance, whose node takes the widgets that others
have too from `widgets`, and a line here.
"""

from .bridge import BridgeGuidance
from .bsd import BSDGuidance
from .csd import CSDGuidance
from .esd import ESDGuidance
from .hifa import HiFAGuidance
from .ism import ISMGuidance
from .nfsd import NFSDGuidance
from .sdi import SDIGuidance
from .sds import SDSGuidance
from .tbsd import TBSDGuidance
from .vsd import VSDGuidance

__all__ = [
    "BSDGuidance",
    "BridgeGuidance",
    "CSDGuidance",
    "ESDGuidance",
    "HiFAGuidance",
    "ISMGuidance",
    "NFSDGuidance",
    "SDIGuidance",
    "SDSGuidance",
    "TBSDGuidance",
    "VSDGuidance",
]

NODES = [
    TBSDGuidance,
    SDSGuidance,
    CSDGuidance,
    BridgeGuidance,
    VSDGuidance,
    ESDGuidance,
    NFSDGuidance,
    BSDGuidance,
    ISMGuidance,
    SDIGuidance,
    HiFAGuidance,
]
