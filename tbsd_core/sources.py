"""Sources of preset values that several methods and scenes share."""

AGAINST_SIGNAL = (
    "ours, rehearsed with noise of 4 times the gradient: against its RMS regularisers would weigh four times as much"
)
BRIDGE_2D = "SDS-Bridge, arXiv:2406.09417, its generate.py"
CSD_3D = "CSD, arXiv:2310.19415, its csd-if.yaml"
FROM_TARGET = "counted from the prediction of the prompt, which is 101 counted from the empty prompt"
MEASURED = "measured on the small world"
NARROW_FRONT = "SDS-Bridge and ProlificDreamer in threestudio: front and back are within 30 degrees"
PROLIFIC_2D = "ProlificDreamer, arXiv:2305.16213, the 2D script prolific_dreamer2d"
PROLIFIC_3D = "ProlificDreamer, arXiv:2305.16213, threestudio's prolificdreamer.yaml"
REHEARSED = "ours, rehearsed on the small world with noise of 4 times the gradient (benchmarks/noise_rehearsal.py)"
RFDS = "RFDS, arXiv:2406.03293, its published SD3 values"
THREESTUDIO = "threestudio, dreamfusion-sd.yaml"
