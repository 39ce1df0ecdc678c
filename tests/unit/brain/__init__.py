"""The brain's rules, asked from outside as a node asks them."""

from tests.support import seeds

ACME = seeds.tenant(1, "Acme.tandem.test", ("1001", "1002", "1003"))
GLOBEX = seeds.tenant(2, "globex.tandem.test", ("1001", "1002", "1003"))
