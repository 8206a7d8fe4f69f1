-- Token selection in the order of transactions' ids: without it, a page of a large pool would sort the whole pool.
CREATE INDEX fl_state_token_any ON fl_state (token_pool, transaction_id, leaf_index) WHERE consumed IS NULL AND token_pool IS NOT NULL;
