"""What is kept where: D1 (control), and each Durable Object's own SQLite. SQL in named blocks, one file an area."""
