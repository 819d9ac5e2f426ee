"""Where values of presets are from, for the sources that several scenes have."""

BRIDGE_2D = "SDS-Bridge, arXiv:2406.09417, its generate.py"
CONSTANT_RANGE = "no annealing in the published 2D runs (SDS-Bridge, arXiv:2406.09417)"
CSD_3D = "CSD, arXiv:2310.19415, its csd-if.yaml"
MEASURED = "measured on the small world"
THREESTUDIO = "threestudio, dreamfusion-sd.yaml"
