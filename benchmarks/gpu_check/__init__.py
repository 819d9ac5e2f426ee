"""Checks that need a GPU, in one command: `python -m benchmarks.gpu_check`, or `make gpu-check`.

Each step is a file with a function of Cases and a line in STEPS. Nothing here is needed by anything else.
"""
