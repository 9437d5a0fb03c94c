#!lua flags=no-writes
-- entries: the file entries of one partition, if it still is as the caller's snapshot saw it.
--
-- KEYS  1 index map · 2 entries
-- ARGV  1 partition · 2 token of the snapshot
-- Answers {'ok', {file id, entry, …}} · {'moved'}
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return { 'moved' }
end
return { 'ok', redis.call('HGETALL', KEYS[2]) }
