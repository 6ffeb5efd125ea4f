"""Detectors measured on labelled lines, calls and clips."""
