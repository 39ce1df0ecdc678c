CREATE TABLE sip_user (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES account (id),
  username TEXT NOT NULL,
  display_name TEXT NOT NULL DEFAULT '',
  is_agent INTEGER NOT NULL DEFAULT 0,
  max_simultaneous INTEGER,
  ring_timeout_sec INTEGER NOT NULL DEFAULT 25,
  dnd INTEGER NOT NULL DEFAULT 0,
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
  UNIQUE (account_id, username)
);

-- ha1b is the digest of `username@realm`, which some phones send as their user name.
CREATE TABLE sip_device (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES account (id),
  user_id TEXT NOT NULL REFERENCES sip_user (id),
  auth_username TEXT NOT NULL,
  realm TEXT NOT NULL,
  ha1 TEXT NOT NULL,
  ha1b TEXT NOT NULL,
  ha1_sha256 TEXT NOT NULL,
  ha1b_sha256 TEXT NOT NULL,
  transport TEXT NOT NULL DEFAULT 'udp' CHECK (transport IN ('udp', 'tcp', 'tls', 'wss')),
  is_webrtc INTEGER NOT NULL DEFAULT 0,
  ring_order INTEGER NOT NULL DEFAULT 0,
  ring_on_fork INTEGER NOT NULL DEFAULT 1,
  user_agent_lock TEXT,
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
  UNIQUE (account_id, realm, auth_username)
);
CREATE INDEX sip_device_user ON sip_device (account_id, user_id);

CREATE TABLE extension (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES account (id),
  digits TEXT NOT NULL,
  dest_kind TEXT NOT NULL,
  dest_id TEXT NOT NULL,
  UNIQUE (account_id, digits)
);
