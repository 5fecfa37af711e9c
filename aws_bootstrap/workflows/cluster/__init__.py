"""Clusters: boxes that run one job together. One file a verb."""
