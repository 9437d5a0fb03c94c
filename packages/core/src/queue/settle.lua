#!lua flags=allow-oom
-- settle: takes the hint away that a shard may have work, unless somebody has renewed it since it was read.
--
-- KEYS  1 dirty
-- ARGV  1 member · 2 score as it was read
-- Answers 1 when it was taken away, else 0
if redis.call('ZSCORE', KEYS[1], ARGV[1]) == ARGV[2] then
  return redis.call('ZREM', KEYS[1], ARGV[1])
end
return 0
