"""Call flows (spec 20): the document, its validation, and the interpreter as a pure machine."""
