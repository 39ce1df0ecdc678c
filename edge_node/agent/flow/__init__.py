"""The calls that the media engine has: each runs the flow that the brain tells, command by command (spec 20)."""
