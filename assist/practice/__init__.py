"""Practice: a written escalation played at a trainee, judged by the same session as a real call; nothing is kept."""
