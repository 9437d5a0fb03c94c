#!lua flags=allow-oom
-- drop: the one switch after which a table is no more. What it has in Redis and in the bucket is collected later, by the
-- name of its generation. Repeatable: for as long as that has not been collected, `ok` is answered again.
--
-- KEYS  1 table config · 2 table stats · 3 created_at · 4 last_write · 5 drops of the table · 6 counters
-- ARGV  1 generation · 2 table · 3 '1' when it may hold rows · 4 who drops it · 5 deadline ms
-- Answers {'ok', files, who had created it or ''} · {'not_empty', rows} · {'gone'} · {'expired'}
local config, stats, drops = KEYS[1], KEYS[2], KEYS[5]
local generation = ARGV[1]
local record = redis.call('HGET', drops, generation)
if record then
  local dropped = cjson.decode(record)
  return { 'ok', dropped.files, dropped.config.created_by or '' }
end
if redis.call('HGET', config, 'generation') ~= generation then
  return { 'gone' }
end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
-- Who asked has given up, and others have gone on writing to the table.
if now_ms > tonumber(ARGV[5]) then
  return { 'expired' }
end
local counted = redis.call('HMGET', stats, 'record_count', 'file_count')
local rows, files = counted[1] or '0', counted[2] or '0'
local batches = redis.call('HGET', KEYS[6], 'pending_batches') or '0'
if ARGV[3] ~= '1' and (rows ~= '0' or files ~= '0' or batches ~= '0') then
  return { 'not_empty', rows }
end

local flat = redis.call('HGETALL', config)
local settings = {}
for at = 1, #flat, 2 do
  settings[flat[at]] = flat[at + 1]
end
-- Only texts go in, so cjson cannot round anything.
redis.call('HSET', drops, generation, cjson.encode({
  v = '1',
  table = ARGV[2],
  generation = generation,
  dropped_ms = string.format('%.0f', now_ms),
  dropped_by = ARGV[4],
  shards = settings.shards or '1',
  shard_history = settings.shard_history or settings.shards or '1',
  rows = rows,
  files = files,
  config = settings,
}))
redis.call('DEL', config, stats, KEYS[3], KEYS[4])
return { 'ok', files, settings.created_by or '' }
