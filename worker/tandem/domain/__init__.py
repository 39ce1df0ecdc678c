"""Pure decisions: functions of (state, event, now), with no I/O, clock or randomness.

From outside come only tables: time zones and numbering plans.
"""
