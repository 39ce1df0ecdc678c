"""The `tandem` command: the public API (`/v1`) at the terminal. It imports of the brain only `tandem.contracts`."""
