-- create: makes a table's config, unless there is one. Repeatable: the same generation answers `ok` again.
--
-- KEYS  1 table config · 2 table stats · 3 created_at
-- ARGV  1 generation · 2 created at (RFC 3339) · then config fields and values
-- Answers {'ok'} · {'exists', generation}
local generation = redis.call('HGET', KEYS[1], 'generation')
if generation == ARGV[1] then
  return { 'ok' }
end
if generation then
  return { 'exists', generation }
end
redis.call('HSET', KEYS[1], 'format', '1', 'generation', ARGV[1], 'status', 'active')
for at = 3, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
end
redis.call('HSET', KEYS[2], 'record_count', '0', 'file_count', '0', 'size_bytes', '0', 'oldest_record', '', 'newest_record', '')
redis.call('SET', KEYS[3], ARGV[2])
return { 'ok' }
