"""What the agent is offered: playbooks, the one prompt, Plan B, promises."""
