-- What an extension's script made is heap (docs/decisions/0008); where SQL alone
-- reads and writes it, it is tested as a lakehouse table, too.
DO $$
DECLARE
	t regclass;
BEGIN
	FOR t IN SELECT c.oid FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
				JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
			WHERE relkind = 'r' AND extname <> 'lakehouse' AND current_setting('default_table_access_method') = 'lakehouse'
	LOOP
		EXECUTE format('ALTER TABLE %s SET ACCESS METHOD lakehouse', t);
	END LOOP;
END $$;
