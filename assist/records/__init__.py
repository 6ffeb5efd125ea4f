"""What is left of a call: the incident record, its pages and lists."""
