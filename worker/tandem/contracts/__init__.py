"""The messages that cross a seam: node ↔ brain. Typed models, used by both sides and pinned by golden JSON."""
