"""Who may come in, and who looked at what."""
