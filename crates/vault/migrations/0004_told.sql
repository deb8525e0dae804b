-- What a point is comes with its commit, and no longer with what jobs report.
ALTER TABLE points DROP COLUMN described;
ALTER TABLE jobs DROP COLUMN points_before;
-- the job that made it, as far as that was told
ALTER TABLE points ADD COLUMN job BLOB;
-- the session that is about to commit it: until the vault has it, it is no point
ALTER TABLE points ADD COLUMN promised BLOB;
CREATE INDEX points_by_promise ON points (promised) WHERE promised IS NOT NULL;
PRAGMA user_version = 4;
