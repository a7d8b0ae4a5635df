-- SPDX-License-Identifier: Apache-2.0
-- The barrier's tables, version 1, for MariaDB and MySQL; for a service that may not create tables itself (the option
-- has_tables). Run it in the service's database; then
--   GRANT SELECT, INSERT, UPDATE, DELETE ON tercet_barrier TO the_service;
--   GRANT SELECT, UPDATE ON tercet_barrier_mark TO the_service;
CREATE TABLE tercet_barrier (
  gid VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  branch INT NOT NULL,
  number BIGINT NOT NULL,      -- the transaction's; 0: not known, the row is never collected
  state TINYINT NOT NULL,      -- 2 tried, 3 confirmed, 4 cancelled
  changed_ms BIGINT NOT NULL,  -- when, for people
  reply BLOB,                  -- the try's
  PRIMARY KEY (gid, branch),
  KEY tercet_barrier_ended (number)
) ENGINE=InnoDB;
CREATE TABLE tercet_barrier_mark (
  id INT PRIMARY KEY,          -- 1
  version INT NOT NULL,
  mark BIGINT NOT NULL,        -- the highest low-water mark seen
  identity VARCHAR(32) NOT NULL DEFAULT '',  -- which database this is, made by the first to ask
  source VARCHAR(32) NOT NULL DEFAULT ''     -- the coordinator's store that numbers and mark are from
) ENGINE=InnoDB;
INSERT INTO tercet_barrier_mark (id, version, mark) VALUES (1, 1, 0);
COMMIT;
