"""The Durable Object classes: thin shells that load, decide, persist and arm the alarm."""
