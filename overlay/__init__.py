"""Pages and the road to them: hub, server, static files. Knows nothing of calls."""
