"""Analyses of methods: what their directions look like, where they lead, and what a setting does.

Each analysis has two parts: a generator that yields one step at a time, so that its consumer can show progress or stop,
and a function that turns the results so far into a labelled sheet and plain numbers.
"""
