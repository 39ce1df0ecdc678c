"""Prompts: uploaded files and spoken texts, from the brain or made here, on disk as the engine plays them."""
