-- Peers and limits. A trunk without an account is the platform's own (a wholesale carrier), and is in every replica.
-- inbound_ips: a JSON list of `CIDR` or `CIDR:port`; trunk_address is its index for the Worker that asks "whose address?".
CREATE TABLE sip_trunk (
  id TEXT PRIMARY KEY,
  account_id TEXT REFERENCES account (id),
  name TEXT NOT NULL,
  provider TEXT NOT NULL DEFAULT '',
  role TEXT NOT NULL DEFAULT 'carrier' CHECK (role IN ('carrier', 'pbx')),
  direction TEXT NOT NULL DEFAULT 'both' CHECK (direction IN ('inbound', 'outbound', 'both')),
  proxy TEXT,
  transport TEXT NOT NULL DEFAULT 'udp' CHECK (transport IN ('udp', 'tcp', 'tls')),
  do_register INTEGER NOT NULL DEFAULT 0,
  inbound_auth TEXT NOT NULL DEFAULT 'none' CHECK (inbound_auth IN ('ip', 'registration', 'none')),
  inbound_ips TEXT NOT NULL DEFAULT '[]',
  inbound_number_from TEXT NOT NULL DEFAULT 'ruri' CHECK (inbound_number_from IN ('ruri', 'to', 'p_called_party_id')),
  failover_codes TEXT NOT NULL DEFAULT '[]',
  max_channels INTEGER,
  cid_number TEXT,
  auth_username TEXT,
  auth_secret_ref TEXT,
  realm TEXT,
  from_domain TEXT,
  from_user TEXT,
  expire_sec INTEGER NOT NULL DEFAULT 3600,
  number_format TEXT NOT NULL DEFAULT '+e164' CHECK (number_format IN ('e164', '+e164', 'national', 'custom')),
  number_strip INTEGER NOT NULL DEFAULT 0,
  number_prepend TEXT NOT NULL DEFAULT '',
  codecs TEXT NOT NULL DEFAULT '[]',
  quality INTEGER NOT NULL DEFAULT 0,
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
  revision INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX sip_trunk_account ON sip_trunk (account_id);
-- first and last: the range's addresses as 32 hex digits (IPv4 mapped to IPv6); port 0: any.
CREATE TABLE trunk_address (
  trunk_id TEXT NOT NULL REFERENCES sip_trunk (id) ON DELETE CASCADE,
  first TEXT NOT NULL,
  last TEXT NOT NULL,
  prefix_length INTEGER NOT NULL,
  port INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (trunk_id, first, last, port)
) WITHOUT ROWID;
CREATE INDEX trunk_address_range ON trunk_address (first, last);

-- subject of a limit: the account; a user; a did; or every number that starts with `pattern`.
CREATE TABLE call_limit (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES account (id),
  scope_kind TEXT NOT NULL CHECK (scope_kind IN ('account', 'user', 'did', 'number')),
  scope_id TEXT,
  pattern TEXT,
  direction TEXT NOT NULL DEFAULT 'any' CHECK (direction IN ('in', 'out', 'dialer', 'any')),
  period_sec INTEGER NOT NULL,
  max_count INTEGER NOT NULL,
  hard INTEGER NOT NULL DEFAULT 1,
  revision INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX call_limit_account ON call_limit (account_id);
CREATE TABLE verified_number (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES account (id),
  e164 TEXT NOT NULL,
  verified_at INTEGER,
  revision INTEGER NOT NULL DEFAULT 1,
  UNIQUE (account_id, e164)
);
CREATE TABLE outbound_route (
  id TEXT PRIMARY KEY,
  account_id TEXT NOT NULL REFERENCES account (id),
  prefix TEXT NOT NULL,
  strip INTEGER NOT NULL DEFAULT 0,
  prepend TEXT NOT NULL DEFAULT '',
  trunk_id TEXT NOT NULL REFERENCES sip_trunk (id),
  priority INTEGER NOT NULL DEFAULT 0,
  weight INTEGER NOT NULL DEFAULT 1,
  schedule_id TEXT,
  status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
  revision INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX outbound_route_account ON outbound_route (account_id, prefix);
CREATE TABLE carrier_rate (
  id TEXT PRIMARY KEY,
  carrier_id TEXT NOT NULL REFERENCES sip_trunk (id),
  prefix TEXT NOT NULL,
  setup_micros INTEGER NOT NULL DEFAULT 0,
  per_min_micros INTEGER NOT NULL,
  first_increment_sec INTEGER NOT NULL DEFAULT 60,
  increment_sec INTEGER NOT NULL DEFAULT 60,
  valid_from INTEGER,
  valid_until INTEGER,
  revision INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX carrier_rate_prefix ON carrier_rate (carrier_id, prefix);

CREATE TRIGGER sip_trunk_inserted AFTER INSERT ON sip_trunk
WHEN NEW.account_id IS NOT NULL BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'sip_trunk', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_trunk_updated AFTER UPDATE ON sip_trunk
WHEN NEW.account_id IS NOT NULL BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'sip_trunk', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_trunk_deleted AFTER DELETE ON sip_trunk
WHEN OLD.account_id IS NOT NULL BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'sip_trunk', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_trunk_stays BEFORE UPDATE OF id, account_id ON sip_trunk
WHEN OLD.id IS NOT NEW.id OR OLD.account_id IS NOT NEW.account_id BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;
CREATE TRIGGER sip_trunk_inserted_for_all AFTER INSERT ON sip_trunk
WHEN NEW.account_id IS NULL BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT a.id, 'sip_trunk', NEW.id,
    1 + COALESCE((SELECT MAX(version) FROM config_change AS c WHERE c.account_id = a.id), 0)
  FROM account AS a WHERE true
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_trunk_updated_for_all AFTER UPDATE ON sip_trunk
WHEN NEW.account_id IS NULL BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT a.id, 'sip_trunk', NEW.id,
    1 + COALESCE((SELECT MAX(version) FROM config_change AS c WHERE c.account_id = a.id), 0)
  FROM account AS a WHERE true
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_trunk_deleted_for_all AFTER DELETE ON sip_trunk
WHEN OLD.account_id IS NULL BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT a.id, 'sip_trunk', OLD.id,
    1 + COALESCE((SELECT MAX(version) FROM config_change AS c WHERE c.account_id = a.id), 0)
  FROM account AS a WHERE true
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;

CREATE TRIGGER call_limit_inserted AFTER INSERT ON call_limit BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'call_limit', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER call_limit_updated AFTER UPDATE ON call_limit BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'call_limit', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER call_limit_deleted AFTER DELETE ON call_limit BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'call_limit', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER call_limit_stays BEFORE UPDATE OF id, account_id ON call_limit
WHEN OLD.id IS NOT NEW.id OR OLD.account_id IS NOT NEW.account_id BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;

CREATE TRIGGER verified_number_inserted AFTER INSERT ON verified_number BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'verified_number', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER verified_number_updated AFTER UPDATE ON verified_number BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'verified_number', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER verified_number_deleted AFTER DELETE ON verified_number BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'verified_number', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER verified_number_stays BEFORE UPDATE OF id, account_id ON verified_number
WHEN OLD.id IS NOT NEW.id OR OLD.account_id IS NOT NEW.account_id BEGIN
  SELECT RAISE(ABORT, 'a row keeps its id and its account');
END;

-- A new account's replica gets the platform's trunks too.
CREATE TRIGGER account_gets_platform_trunks AFTER INSERT ON account BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.id, 'sip_trunk', t.id, ROW_NUMBER() OVER (ORDER BY t.id)
    + COALESCE((SELECT MAX(version) FROM config_change WHERE account_id = NEW.id), 0)
  FROM sip_trunk AS t WHERE t.account_id IS NULL
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
