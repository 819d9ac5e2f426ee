"""Measurements that need no download: how fast a step is, compared with what it cannot do without."""
