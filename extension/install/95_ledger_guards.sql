-- 95_ledger_guards: how the ledger's tables are protected when all scripts have run; hail.reconcile() compares

INSERT INTO hail.guard_definitions SELECT * FROM hail.guards_now();
