"""Nodes that compare and explain: each gives one labelled picture, and its numbers as JSON."""
