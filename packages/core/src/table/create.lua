-- create: makes a table's config, unless there is one. Repeatable: the same generation answers `ok` again.
--
-- KEYS  1 table config · 2 table stats · 3 created_at · 4 drops of the table
-- ARGV  1 generation · 2 created at (RFC 3339) · 3 deadline ms · then config fields and values
-- Answers {'ok'} · {'exists', generation} · {'expired'}
local generation = redis.call('HGET', KEYS[1], 'generation')
if generation == ARGV[1] then
  return { 'ok' }
end
if generation then
  return { 'exists', generation }
end
-- It was created, and dropped since: a repeat must not bring back what is being collected.
if redis.call('HEXISTS', KEYS[4], ARGV[1]) == 1 then
  return { 'ok' }
end
-- Drops are remembered for longer than a creation may be on its way.
local time = redis.call('TIME')
if time[1] * 1000 + math.floor(time[2] / 1000) > tonumber(ARGV[3]) then
  return { 'expired' }
end
redis.call('HSET', KEYS[1], 'format', '1', 'generation', ARGV[1], 'status', 'active')
for at = 4, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
end
redis.call('HSET', KEYS[2], 'record_count', '0', 'file_count', '0', 'size_bytes', '0', 'oldest_record', '', 'newest_record', '')
redis.call('SET', KEYS[3], ARGV[2])
return { 'ok' }
