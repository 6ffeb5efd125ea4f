"""The store: event logs, incident records, people and the audit log on disk; backups, keys and recordings."""
