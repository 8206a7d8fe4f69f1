-- Functions, with all their overloads, that no application needs and that reach beyond its own rows.
DO $$
DECLARE
  f regprocedure;
BEGIN
  FOR f IN
    SELECT p.oid::regprocedure
    FROM pg_catalog.pg_proc p
    WHERE p.pronamespace = 'pg_catalog'::regnamespace
      AND p.prokind = 'f'
      AND (
        -- locks that outlive a transaction, or that others wait for
        p.proname ~ '^pg_(try_)?advisory_'
        -- settings of the session
        OR p.proname = 'set_config'
        -- waiting
        OR p.proname ~ '^pg_sleep'
        -- large objects: owned one by one, in a catalog that all share
        OR p.proname ~ '^lo_' OR p.proname IN ('loread', 'lowrite')
        -- files and other servers
        OR p.proname ~ '^(pg_read_|pg_ls_|pg_stat_file|dblink|pg_logical_|pg_replication_|pg_create_.*_slot|pg_drop_replication_slot)'
        -- messages between sessions, snapshots for others
        OR p.proname IN ('pg_notify', 'pg_export_snapshot')
        -- text that is run as SQL
        OR p.proname ~ '^(query|table|schema|database|cursor)_to_xml' OR p.proname IN ('ts_stat', 'ts_rewrite')
        -- what others do, have and are called
        OR p.proname ~ '^pg_stat_' OR p.proname IN ('pg_lock_status', 'pg_blocking_pids', 'pg_safe_snapshot_blocking_pids',
          'pg_prepared_xact', 'pg_cursor', 'pg_get_backend_memory_contexts', 'pg_listening_channels')
        OR p.proname ~ '^pg_get_(functiondef|function_sqlbody|viewdef|ruledef|indexdef|constraintdef|triggerdef|expr|partkeydef|partition_constraintdef|statisticsobjdef.*|userbyid|object_address)$'
        OR p.proname ~ '^pg_(identify_object|describe_object|filenode_relation|relation_filenode|relation_filepath)'
        OR p.proname IN ('pg_relation_size', 'pg_total_relation_size', 'pg_table_size', 'pg_indexes_size', 'pg_database_size', 'pg_tablespace_size')
      )
  LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
  END LOOP;
  EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END
$$;

-- The catalogs say who else is here. Statements do not need this right; only people who look do.
REVOKE SELECT ON ALL TABLES IN SCHEMA pg_catalog FROM PUBLIC;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
