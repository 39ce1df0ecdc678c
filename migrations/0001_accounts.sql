-- Tenants. Times are epoch milliseconds (*_at), durations seconds (*_sec), booleans 0/1.
CREATE TABLE account (
  id TEXT PRIMARY KEY,
  parent_id TEXT REFERENCES account (id),
  name TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'closed')),
  timezone TEXT,
  language TEXT,
  country TEXT NOT NULL DEFAULT 'US',
  home_region TEXT NOT NULL DEFAULT 'local',
  created_at INTEGER NOT NULL
);
CREATE INDEX account_parent ON account (parent_id);

-- The domain is the digest realm; look-ups ignore case, `domain` keeps the canonical spelling.
CREATE TABLE sip_domain (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES account (id),
  domain TEXT NOT NULL COLLATE NOCASE UNIQUE,
  is_primary INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX sip_domain_account ON sip_domain (account_id);
