#!lua flags=allow-oom
-- recount: compares a table's counters and statistics with what they count, and puts right what has drifted. Repeatable.
--
-- KEYS  1 table config · 2 table stats · 3 counters · 4 index token · then for each shard: pending, unsealed, batch meta
-- ARGV  1 generation · 2 shard count S · 3 batches max · 4 index token that the files were counted at, or '' for not
--       5 files · 6 their bytes · 7 their rows · then S shard names
-- Answers {'ok', 'files'|'pending', {counter, was, is, …}}: 'pending' when the files have changed since
--         {'gone'} · {'stale'} (another shard count) · {'busy', batches}
--         {'mismatch', batch id} (a pending batch without its meta)
local config, stats, counters, index_token = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local shard_count = tonumber(ARGV[2])
-- As put.lua counts it.
local BATCH_OVERHEAD_BYTES = 1024

local settings = redis.call('HMGET', config, 'generation', 'shards')
if settings[1] ~= ARGV[1] then
  return { 'gone' }
end
if settings[2] ~= ARGV[2] then
  return { 'stale' }
end

local function keys_of(shard)
  local at = 5 + 3 * shard
  return KEYS[at], KEYS[at + 1], KEYS[at + 2]
end

local batches_all = 0
for shard = 0, shard_count - 1 do
  batches_all = batches_all + redis.call('ZCARD', (keys_of(shard)))
end
if batches_all > tonumber(ARGV[3]) then
  return { 'busy', batches_all }
end

local truth = {}
local rows_all, bytes_all = 0, 0
for shard = 0, shard_count - 1 do
  local pending, unsealed, batch_meta = keys_of(shard)
  local is_unsealed = {}
  for _, id in ipairs(redis.call('ZRANGE', unsealed, 0, -1)) do
    is_unsealed[id] = true
  end
  local rows, bytes, batches = 0, 0, 0
  for _, id in ipairs(redis.call('ZRANGE', pending, 0, -1)) do
    local meta = redis.call('HGET', batch_meta, id)
    if not meta then
      return { 'mismatch', id }
    end
    local batch_rows, batch_bytes = string.match(meta, '^%d+:(%d+):(%d+):')
    batch_rows, batch_bytes = tonumber(batch_rows), tonumber(batch_bytes)
    rows_all, bytes_all = rows_all + batch_rows, bytes_all + batch_bytes
    if is_unsealed[id] then
      rows, bytes, batches = rows + batch_rows, bytes + batch_bytes, batches + 1
    end
  end
  local prefix = 'u:' .. ARGV[8 + shard] .. ':'
  truth[#truth + 1] = { counters, prefix .. 'rows', rows }
  truth[#truth + 1] = { counters, prefix .. 'bytes', bytes }
  truth[#truth + 1] = { counters, prefix .. 'batches', batches }
end
truth[#truth + 1] = { counters, 'pending_rows', rows_all }
truth[#truth + 1] = { counters, 'pending_bytes', bytes_all + batches_all * BATCH_OVERHEAD_BYTES }
truth[#truth + 1] = { counters, 'pending_batches', batches_all }

local compared = 'pending'
if ARGV[4] ~= '' and (redis.call('GET', index_token) or '0') == ARGV[4] then
  compared = 'files'
  truth[#truth + 1] = { stats, 'file_count', tonumber(ARGV[5]) }
  truth[#truth + 1] = { stats, 'size_bytes', tonumber(ARGV[6]) }
  truth[#truth + 1] = { stats, 'record_count', tonumber(ARGV[7]) + rows_all }
end

-- Nothing is refused from here on.
local drifts = {}
for _, counter in ipairs(truth) do
  local key, field, is = counter[1], counter[2], string.format('%.0f', counter[3])
  local was = redis.call('HGET', key, field) or '0'
  if was ~= is then
    redis.call('HSET', key, field, is)
    drifts[#drifts + 1] = field
    drifts[#drifts + 1] = was
    drifts[#drifts + 1] = is
  end
end
return { 'ok', compared, drifts }
