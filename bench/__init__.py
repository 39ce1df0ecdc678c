"""What a decision costs, against a JavaScript twin of the brain in the same run (bench/README.md)."""
