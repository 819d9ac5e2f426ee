"""Where values of presets are from: what several methods and scenes are taken from."""

BRIDGE_2D = "SDS-Bridge, arXiv:2406.09417, its generate.py"
CSD_3D = "CSD, arXiv:2310.19415, its csd-if.yaml"
MEASURED = "measured on the small world"
PROLIFIC_2D = "ProlificDreamer, arXiv:2305.16213, the 2D script prolific_dreamer2d"
PROLIFIC_3D = "ProlificDreamer, arXiv:2305.16213, threestudio's prolificdreamer.yaml"
THREESTUDIO = "threestudio, dreamfusion-sd.yaml"
