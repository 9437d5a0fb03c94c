#!lua flags=allow-oom
-- seal: fixes the set of batches that one flush writes: the oldest unsealed ones up to rows, bytes, count and
-- span of days, but at least one. Repeatable by its random seal id.
--
-- KEYS  1 table config · 2 counters · 3 schema · 4 unsealed · 5 batch meta · 6 seals · 7 seal · 8 seal batches · 9 revoked
-- ARGV  1 generation · 2 seal id · 3 shard · 4 rows max · 5 bytes max · 6 batches max · 7 days max · 8 layout (opaque)
--       9 raw bytes max (decompressed)
-- Answers {'ok', batches} · {'already'} · {'empty'} · {'revoked'} · {'gone'}
local config, counters, schema, unsealed, batch_meta = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local seals, seal, seal_batches, revoked = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local generation, seal_id, shard = ARGV[1], ARGV[2], ARGV[3]
local DAY_MICROS = 86400000000

if redis.call('SISMEMBER', revoked, seal_id) == 1 then
  return { 'revoked' }
end
if redis.call('EXISTS', seal) == 1 then
  return { 'already' }
end
if redis.call('HGET', config, 'generation') ~= generation then
  return { 'gone' }
end

local rows_max, bytes_max, raw_max, days_max = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[9]), tonumber(ARGV[7])
local candidates = redis.call('ZRANGE', unsealed, 0, tonumber(ARGV[6]) - 1, 'WITHSCORES')
local taken, rows, bytes, raw = {}, 0, 0, 0
local first_day, last_day
for at = 1, #candidates, 2 do
  local id = candidates[at]
  local meta = redis.call('HGET', batch_meta, id)
  -- Format 1: rows:bytes:raw bytes:accept ms:min micros:max micros:overflow. Days only bound the span: a double will do.
  local batch_rows, batch_bytes, batch_raw, min_ts, max_ts = string.match(meta, '^1:(%d+):(%d+):(%d+):%d+:(-?%d+):(-?%d+):')
  batch_rows, batch_bytes, batch_raw = tonumber(batch_rows), tonumber(batch_bytes), tonumber(batch_raw)
  local from = math.floor(tonumber(min_ts) / DAY_MICROS)
  local to = math.floor(tonumber(max_ts) / DAY_MICROS)
  local from_all = first_day and math.min(first_day, from) or from
  local to_all = last_day and math.max(last_day, to) or to
  local is_full = rows + batch_rows > rows_max or bytes + batch_bytes > bytes_max or raw + batch_raw > raw_max
  if #taken > 0 and (is_full or to_all - from_all >= days_max) then
    break
  end
  taken[#taken + 1] = { id, candidates[at + 1] }
  rows, bytes, raw = rows + batch_rows, bytes + batch_bytes, raw + batch_raw
  first_day, last_day = from_all, to_all
end
if #taken == 0 then
  return { 'empty' }
end

local time = redis.call('TIME')
local now_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
for _, batch in ipairs(taken) do
  redis.call('ZREM', unsealed, batch[1])
  redis.call('ZADD', seal_batches, batch[2], batch[1])
end
redis.call('HINCRBY', counters, 'u:' .. shard .. ':rows', -rows)
redis.call('HINCRBY', counters, 'u:' .. shard .. ':bytes', -bytes)
redis.call('HINCRBY', counters, 'u:' .. shard .. ':batches', -#taken)
-- Only texts go in, so cjson cannot round anything.
redis.call('HSET', seal, 'format', '1', 'generation', generation, 'shard', shard, 'sealed_ms', now_ms,
  'rows', rows, 'layout', ARGV[8], 'schema', cjson.encode(redis.call('HGETALL', schema)))
redis.call('ZADD', seals, now_ms, seal_id)
return { 'ok', #taken }
