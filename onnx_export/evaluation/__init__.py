"""Evaluation of bundles: clips, judges, distances, reports and figures."""
