"""Pure decisions: functions of (state, event, now), with no I/O, clock, randomness or import from outside."""
