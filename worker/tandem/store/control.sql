-- What the stateless Worker looks up in D1 when its own caches do not know.

-- name: domain
SELECT account_id, domain FROM sip_domain WHERE domain = ?1;

-- name: node
SELECT id, region, credential_version, command_url FROM node WHERE id = ?1 AND status <> 'retired';

-- name: key
SELECT id, account_id, scopes FROM api_key WHERE hash = ?1 AND revoked_at IS NULL;

-- name: account
SELECT id FROM account WHERE id = ?1;
