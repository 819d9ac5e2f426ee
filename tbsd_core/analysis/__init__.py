"""Analyses of methods: what their directions look like, where they lead, and what a setting does.

Each analysis is a generator that yields one step at a time, so that whoever consumes it shows progress
and may stop it, and a function that makes a labelled sheet and plain numbers of what there is by then.
"""
