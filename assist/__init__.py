"""The roof: live call, coach, records, command line and wiring. Nobody imports it."""
