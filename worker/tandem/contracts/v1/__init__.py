"""The public API's models: what `/v1` takes and gives, one module an area, listed in `objects.OBJECTS`."""
