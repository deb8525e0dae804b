-- What nobody has told of a point is unknown: before, it stood here as scheduled and clean.
UPDATE points SET origin = 'unknown', completeness = 'unknown'
WHERE job IS NULL AND agent IS NULL AND origin = 'scheduled' AND completeness = 'clean';
PRAGMA user_version = 5;
