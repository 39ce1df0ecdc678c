"""The media engine as the node-agent drives it: one interface (`base`), one folder an implementation."""
