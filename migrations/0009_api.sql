-- Who may use /v1, and what it remembers.
ALTER TABLE api_key ADD COLUMN last_used_at INTEGER;
ALTER TABLE api_key ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
-- account_id null: a platform operator. scopes are separated by spaces, as those of keys.
CREATE TABLE console_user (
  id TEXT PRIMARY KEY,
  account_id TEXT REFERENCES account (id),
  email TEXT NOT NULL COLLATE NOCASE UNIQUE,
  password_hash TEXT NOT NULL,
  role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'supervisor', 'agent')),
  user_id TEXT REFERENCES sip_user (id),
  scopes TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
  failed_logins INTEGER NOT NULL DEFAULT 0,
  locked_until INTEGER,
  created_at INTEGER NOT NULL,
  revision INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX console_user_account ON console_user (account_id);
-- owner: the credential (key_… or cu_…) that sent the request.
CREATE TABLE idempotency_key (
  owner TEXT NOT NULL,
  key TEXT NOT NULL,
  request_hash TEXT NOT NULL,
  status INTEGER NOT NULL,
  reply TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (owner, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_key_age ON idempotency_key (created_at);
-- before and after: the object as /v1 shows it, so no secret; null where there is none.
CREATE TABLE audit (
  id TEXT PRIMARY KEY,
  account_id TEXT,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  object TEXT NOT NULL,
  object_id TEXT NOT NULL,
  before TEXT,
  after TEXT,
  at INTEGER NOT NULL
);
CREATE INDEX audit_account ON audit (account_id, id);

-- How other nodes reach a node by SIP (`host:port`), for calls to a phone that is registered there.
ALTER TABLE node ADD COLUMN sip_address TEXT;
ALTER TABLE node ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;

ALTER TABLE call_cdr ADD COLUMN did_id TEXT;
ALTER TABLE call_cdr ADD COLUMN trunk_id TEXT;
ALTER TABLE call_cdr ADD COLUMN ring_group_id TEXT;
-- Soft limits that the call went over: their ids, separated by spaces.
ALTER TABLE call_cdr ADD COLUMN limit_warnings TEXT;
