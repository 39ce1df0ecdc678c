-- Tenancy: what an account is, what it hands down, and the tree that makes both cheap to ask. Null means "as the parent".
ALTER TABLE account ADD COLUMN is_reseller INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN voice_gender TEXT CHECK (voice_gender IN ('male', 'female'));
ALTER TABLE account ADD COLUMN brand_name TEXT;
ALTER TABLE account ADD COLUMN brand_domain TEXT;
ALTER TABLE account ADD COLUMN max_in INTEGER;
ALTER TABLE account ADD COLUMN max_out INTEGER;
ALTER TABLE account ADD COLUMN max_dialer INTEGER;
ALTER TABLE account ADD COLUMN default_cid_number TEXT;
ALTER TABLE account ADD COLUMN did_default_dest_kind TEXT;
ALTER TABLE account ADD COLUMN did_default_dest_id TEXT;
ALTER TABLE account ADD COLUMN billing_mode TEXT NOT NULL DEFAULT 'none'
  CHECK (billing_mode IN ('none', 'prepaid', 'postpaid'));
ALTER TABLE account ADD COLUMN credit_limit_micros INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN rate_plan_id TEXT;
ALTER TABLE account ADD COLUMN currency TEXT NOT NULL DEFAULT 'USD';
-- Whether calls that the platform must answer itself can be taken; no engine is built in until one is chosen.
ALTER TABLE account ADD COLUMN media_engine TEXT NOT NULL DEFAULT 'none';
-- A JSON list; null: the parent's, and at the top those of the country's numbering plan.
ALTER TABLE account ADD COLUMN emergency_numbers TEXT;
-- revision: grows with every write through the API; it is the ETag.
ALTER TABLE account ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
ALTER TABLE sip_domain ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;

-- Every account with each of its ancestors and itself (depth 0). An account stays where it was made.
CREATE TABLE account_tree (
  account_id TEXT NOT NULL,
  ancestor_id TEXT NOT NULL,
  depth INTEGER NOT NULL,
  PRIMARY KEY (account_id, ancestor_id)
) WITHOUT ROWID;
CREATE INDEX account_tree_ancestor ON account_tree (ancestor_id, account_id);
INSERT INTO account_tree (account_id, ancestor_id, depth)
WITH RECURSIVE up (account_id, ancestor_id, depth) AS (
  SELECT id, id, 0 FROM account
  UNION ALL
  SELECT up.account_id, account.parent_id, up.depth + 1 FROM up JOIN account ON account.id = up.ancestor_id
  WHERE account.parent_id IS NOT NULL
)
SELECT account_id, ancestor_id, depth FROM up;

-- A replica holds its account's row and those of all ancestors (status, inherited defaults, ceilings), so a change to an
-- account is one to every account below it.
DROP TRIGGER account_inserted;
DROP TRIGGER account_updated;
DROP TRIGGER account_deleted;
CREATE TRIGGER account_inserted AFTER INSERT ON account BEGIN
  INSERT INTO account_tree (account_id, ancestor_id, depth) VALUES (NEW.id, NEW.id, 0);
  INSERT INTO account_tree (account_id, ancestor_id, depth)
  SELECT NEW.id, ancestor_id, depth + 1 FROM account_tree WHERE account_id = NEW.parent_id;
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.id, 'account', ancestor_id,
    depth + 1 + COALESCE((SELECT MAX(version) FROM config_change WHERE account_id = NEW.id), 0)
  FROM account_tree WHERE account_id = NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER account_updated AFTER UPDATE ON account BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT below.account_id, 'account', NEW.id,
    1 + COALESCE((SELECT MAX(version) FROM config_change AS c WHERE c.account_id = below.account_id), 0)
  FROM account_tree AS below WHERE below.ancestor_id = NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER account_stays BEFORE UPDATE OF parent_id ON account
WHEN OLD.parent_id IS NOT NEW.parent_id BEGIN
  SELECT RAISE(ABORT, 'an account stays below the parent it was made under');
END;
CREATE TRIGGER account_deleted AFTER DELETE ON account BEGIN
  DELETE FROM account_tree WHERE account_id = OLD.id;
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.id, 'account', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
-- The rows of ancestors that older accounts lack in their change log.
INSERT INTO config_change (account_id, table_name, row_id, version)
SELECT t.account_id, 'account', t.ancestor_id,
  t.depth + (SELECT MAX(version) FROM config_change AS c WHERE c.account_id = t.account_id)
FROM account_tree AS t WHERE t.depth > 0;
