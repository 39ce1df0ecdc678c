"""A process of the embedded media engine: calls on PJSIP, driven by JSON lines from the node-agent."""
