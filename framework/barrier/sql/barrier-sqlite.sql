-- SPDX-License-Identifier: Apache-2.0
-- The barrier's tables, version 1, for SQLite; for services that use them without the C library (docs/sql.md). Running it again
-- changes nothing.
CREATE TABLE IF NOT EXISTS tercet_barrier (
  gid TEXT NOT NULL,
  branch INTEGER NOT NULL,
  number INTEGER NOT NULL,     -- the transaction's; 0: not known, the row is never collected
  state INTEGER NOT NULL,      -- 2 tried, 3 confirmed, 4 cancelled
  changed_ms INTEGER NOT NULL, -- when, for people
  reply BLOB,                  -- the try's
  PRIMARY KEY (gid, branch)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tercet_barrier_ended ON tercet_barrier (number) WHERE number > 0 AND state > 2;
CREATE TABLE IF NOT EXISTS tercet_barrier_mark (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  version INTEGER NOT NULL,
  mark INTEGER NOT NULL        -- the highest low-water mark seen
);
INSERT INTO tercet_barrier_mark (id, version, mark) VALUES (1, 1, 0) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS tercet_barrier_fact (
  name TEXT PRIMARY KEY,       -- identity: which database this is; source: the coordinator's store that numbers and mark are from
  value TEXT NOT NULL
) WITHOUT ROWID;
