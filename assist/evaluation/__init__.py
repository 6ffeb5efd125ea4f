"""Detectors measured on labelled lines, calls and clips; calls of the past judged again; playbooks tried."""
