-- A node's credential is derived from the master key, its id and credential_version; raising the version revokes it.
CREATE TABLE node (
  id TEXT PRIMARY KEY,
  region TEXT NOT NULL,
  name TEXT NOT NULL DEFAULT '',
  status TEXT NOT NULL DEFAULT 'enrolling' CHECK (status IN ('enrolling', 'active', 'draining', 'lost', 'retired')),
  credential_version INTEGER NOT NULL DEFAULT 1,
  command_url TEXT,
  created_at INTEGER NOT NULL
);

-- account_id is null for a platform operator's key. Only the SHA-256 of a key is kept; scopes are separated by spaces.
CREATE TABLE api_key (
  id TEXT PRIMARY KEY,
  account_id TEXT REFERENCES account (id),
  name TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  scopes TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  revoked_at INTEGER
);
CREATE INDEX api_key_account ON api_key (account_id);
