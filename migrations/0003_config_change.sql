-- The change log that feeds each account's replica. It names, for every configuration row, the version (counted per
-- account) of its last change, deletions included; so it stays as small as the configuration, and "everything since
-- version 0" is a full load. Triggers write it, so no writer can forget it (docs/decisions/0002-change-log.md).
CREATE TABLE config_change (
  account_id TEXT NOT NULL,
  table_name TEXT NOT NULL,
  row_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (account_id, table_name, row_id)
) WITHOUT ROWID;
CREATE UNIQUE INDEX config_change_version ON config_change (account_id, version);

CREATE TRIGGER account_inserted AFTER INSERT ON account BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.id, 'account', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER account_updated AFTER UPDATE ON account BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.id, 'account', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER account_deleted AFTER DELETE ON account BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.id, 'account', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;

CREATE TRIGGER sip_domain_inserted AFTER INSERT ON sip_domain BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'sip_domain', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_domain_updated AFTER UPDATE ON sip_domain BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'sip_domain', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_domain_moved AFTER UPDATE OF account_id ON sip_domain WHEN OLD.account_id <> NEW.account_id BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'sip_domain', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_domain_deleted AFTER DELETE ON sip_domain BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'sip_domain', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;

CREATE TRIGGER sip_user_inserted AFTER INSERT ON sip_user BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'sip_user', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_user_updated AFTER UPDATE ON sip_user BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'sip_user', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_user_moved AFTER UPDATE OF account_id ON sip_user WHEN OLD.account_id <> NEW.account_id BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'sip_user', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_user_deleted AFTER DELETE ON sip_user BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'sip_user', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;

CREATE TRIGGER sip_device_inserted AFTER INSERT ON sip_device BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'sip_device', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_device_updated AFTER UPDATE ON sip_device BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'sip_device', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_device_moved AFTER UPDATE OF account_id ON sip_device WHEN OLD.account_id <> NEW.account_id BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'sip_device', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER sip_device_deleted AFTER DELETE ON sip_device BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'sip_device', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;

CREATE TRIGGER extension_inserted AFTER INSERT ON extension BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'extension', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER extension_updated AFTER UPDATE ON extension BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT NEW.account_id, 'extension', NEW.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = NEW.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER extension_moved AFTER UPDATE OF account_id ON extension WHEN OLD.account_id <> NEW.account_id BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'extension', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
CREATE TRIGGER extension_deleted AFTER DELETE ON extension BEGIN
  INSERT INTO config_change (account_id, table_name, row_id, version)
  SELECT OLD.account_id, 'extension', OLD.id, COALESCE(MAX(version), 0) + 1
  FROM config_change WHERE account_id = OLD.account_id
  ON CONFLICT (account_id, table_name, row_id) DO UPDATE SET version = excluded.version;
END;
