"""Tandem's brain. Arrows point one way: sip, durable_objects → store, runtime → contracts, domain."""
