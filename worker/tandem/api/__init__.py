"""What people ask: the public API `/v1`, made from the table of objects in `tandem.contracts.v1`."""
