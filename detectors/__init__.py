"""Judges of a conversation: signals with their evidence, and one escalation level. No sockets, no clocks."""
