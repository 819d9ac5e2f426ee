"""Measurements that need no download: the time of a step, compared with the work that no implementation can avoid."""
