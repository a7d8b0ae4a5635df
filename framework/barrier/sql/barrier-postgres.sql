-- SPDX-License-Identifier: Apache-2.0
-- The barrier's tables, version 1, for PostgreSQL 9.5 and newer; for a service that may not create tables itself (the
-- option has_tables). Run it in the service's database, with its schema first in the search_path; then
--   GRANT SELECT, INSERT, UPDATE, DELETE ON tercet_barrier TO the_service;
--   GRANT SELECT, UPDATE ON tercet_barrier_mark TO the_service;
CREATE TABLE tercet_barrier (
  gid varchar(64) COLLATE "C" NOT NULL,
  branch integer NOT NULL,
  number bigint NOT NULL,      -- the transaction's; 0: not known, the row is never collected
  state smallint NOT NULL,     -- 2 tried, 3 confirmed, 4 cancelled
  changed_ms bigint NOT NULL,  -- when, for people
  reply bytea,                 -- the try's
  PRIMARY KEY (gid, branch)
);
CREATE INDEX tercet_barrier_ended ON tercet_barrier (number) WHERE number > 0 AND state > 2;
CREATE TABLE tercet_barrier_mark (
  id integer PRIMARY KEY CHECK (id = 1),
  version integer NOT NULL,
  mark bigint NOT NULL,        -- the highest low-water mark seen
  identity varchar(32) NOT NULL DEFAULT '',  -- which database this is, made by the first to ask
  source varchar(32) NOT NULL DEFAULT ''     -- the coordinator's store that numbers and mark are from
);
INSERT INTO tercet_barrier_mark (id, version, mark) VALUES (1, 1, 0);
