-- which point a job has made is looked up before it makes one
CREATE INDEX IF NOT EXISTS points_by_job ON points (domain, job) WHERE job IS NOT NULL;
PRAGMA user_version = 6;
