"""What a node asks. `gateway` is the stateless front; the other modules decide inside the account's PresenceDO."""
