-- What the stateless Worker looks up in D1 when its own caches do not know.

-- name: domain
SELECT account_id, domain FROM sip_domain WHERE domain = ?1;

-- name: node
SELECT id, region, credential_version, command_url, COALESCE(sip_address, reported_sip_address) AS sip_address
FROM node WHERE id = ?1 AND status <> 'retired';

-- name: key
SELECT id, account_id, scopes FROM api_key WHERE hash = ?1 AND revoked_at IS NULL;

-- name: account
SELECT id FROM account WHERE id = ?1;

-- name: did
SELECT account_id, accept_any_source FROM did WHERE e164 = ?1;

-- name: trunks
-- ?1: the first addresses of all networks that can hold the address (JSON), ?2: the address, ?3: the port.
-- The platform's come first: no account's trunks can push them out.
SELECT t.id, t.account_id, t.role, t.inbound_number_from, a.country
FROM json_each(?1) AS network CROSS JOIN trunk_address AS x ON x.first = network.value AND x.last >= ?2
JOIN sip_trunk AS t ON t.id = x.trunk_id LEFT JOIN account AS a ON a.id = t.account_id
WHERE x.port IN (0, ?3) AND t.status = 'active' AND t.inbound_auth = 'ip' AND t.direction <> 'outbound'
ORDER BY t.account_id IS NOT NULL, x.prefix_length DESC, x.port DESC, t.role DESC, t.id LIMIT 50;

-- name: fleet
SELECT DISTINCT COALESCE(sip_address, reported_sip_address) AS sip_address FROM node
WHERE status <> 'retired' AND COALESCE(sip_address, reported_sip_address) IS NOT NULL ORDER BY 1;

-- name: report_sip_address
UPDATE node SET reported_sip_address = ?2 WHERE id = ?1 AND reported_sip_address IS NOT ?2;

-- name: below
-- The account and all below it, from the top.
SELECT account_id FROM account_tree WHERE ancestor_id = ?1 ORDER BY depth, account_id;
