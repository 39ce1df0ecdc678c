-- What a node says of itself in its hello; sip_address, where an operator wrote one, counts before it.
ALTER TABLE node ADD COLUMN reported_sip_address TEXT;
