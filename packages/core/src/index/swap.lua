#!lua flags=allow-oom
-- swap: takes files out of the index and puts others in, at one instant. What a compaction, a delete or retention does
-- to the index. The objects of the files that left are collected later: readers may hold an older snapshot.
-- Repeatable by the plan's id: `already` for as long as done plans are remembered (an hour).
--
-- KEYS  1 table config · 2 table stats · 3 index token · 4 index map · 5 plans · 6 plan texts · 7 done plans · 8 doomed
--       9 dead plans · then P entry hashes (one a partition) · I id sets · S times: pending, batch meta of each shard
-- ARGV  1 generation · 2 plan id · 3 partition count P · 4 id set count I · 5 shard count S · 6 inputs · 7 outputs
--       8 ms until the objects may go · 9 '1' when the rows must stay the same
--       10 index token that bounds were computed at, or '' to leave the bounds · 11 sequence they were computed at
--       12 oldest · 13 newest (RFC 3339, six digits; '' when there are no rows)
--       then P partition names · for each input: file id, partition number, id set number or 0, object key
--       · for each output: the same, then entry JSON, rows, size in bytes
-- Answers {'ok', token, rows removed, files out, files in} · {'already'} · {'gone'} · {'dead'} · {'missing', file id}
--         {'moved'} (the bounds are of another token) · {'mismatch', what}
local config, stats, token_key, index_map = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local plans, plan_texts, done_plans, doomed, dead_plans = KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local plan_id = ARGV[2]
local partition_count, id_set_count, shard_count = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local input_count, output_count = tonumber(ARGV[6]), tonumber(ARGV[7])
local first_entries = 10
local first_id_set = first_entries + partition_count
local first_shard = first_id_set + id_set_count
local first_name = 14
local first_input = first_name + partition_count
local first_output = first_input + 4 * input_count
local DONE_FOR_MS = 3600000

local function input_of(n)
  local at = first_input + (n - 1) * 4
  return ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), ARGV[at + 3]
end

local function output_of(n)
  local at = first_output + (n - 1) * 7
  return ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), ARGV[at + 3], ARGV[at + 4], tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
end

if redis.call('ZSCORE', done_plans, plan_id) then
  return { 'already' }
end
if redis.call('HGET', config, 'generation') ~= ARGV[1] then
  return { 'gone' }
end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = redis.call('ZSCORE', plans, plan_id)
if not expiry or tonumber(expiry) <= now_ms or redis.call('ZSCORE', dead_plans, plan_id) then
  return { 'dead' }
end
local token = redis.call('GET', token_key) or '0'
-- Bounds are of all shards that there are; a new shard may have pending rows that the caller does not know of.
if ARGV[10] ~= '' and (ARGV[10] ~= token or redis.call('HGET', config, 'shards') ~= ARGV[5]) then
  return { 'moved' }
end

local function is_of_type(key, wanted)
  local type = redis.call('TYPE', key).ok
  return type == 'none' or type == wanted
end
for partition = 0, partition_count - 1 do
  if not is_of_type(KEYS[first_entries + partition], 'hash') then
    return { 'mismatch', 'type' }
  end
end
for id_set = 0, id_set_count - 1 do
  if not is_of_type(KEYS[first_id_set + id_set], 'set') then
    return { 'mismatch', 'type' }
  end
end
if not is_of_type(stats, 'hash') or not is_of_type(doomed, 'zset') then
  return { 'mismatch', 'type' }
end

local rows, bytes = 0, 0
for n = 1, input_count do
  local file_id, partition, _, object_key = input_of(n)
  local entry = redis.call('HGET', KEYS[first_entries + partition - 1], file_id)
  if not entry then
    return { 'missing', file_id }
  end
  -- Entries are written by us, without blanks: JSON.stringify of file-entry.ts.
  if string.match(entry, '"key":"([^"]*)"') ~= object_key then
    return { 'missing', file_id }
  end
  rows = rows + tonumber(string.match(entry, '"rows":(%d+)'))
  bytes = bytes + tonumber(string.match(entry, '"sizeBytes":(%d+)'))
end
local rows_in, bytes_in = 0, 0
for n = 1, output_count do
  local _, _, _, _, _, output_rows, output_bytes = output_of(n)
  rows_in, bytes_in = rows_in + output_rows, bytes_in + output_bytes
end
if rows_in > rows or (ARGV[9] == '1' and rows_in ~= rows) then
  return { 'mismatch', 'rows' }
end

-- Micros since 1970 as RFC 3339 with six digits. Doubles do not hold them exactly: the last six digits stay text.
local function rfc3339(micros)
  local is_negative = string.sub(micros, 1, 1) == '-'
  local digits = is_negative and string.sub(micros, 2) or micros
  digits = string.rep('0', 7 - #digits) .. digits
  local seconds, fraction = tonumber(string.sub(digits, 1, -7)), tonumber(string.sub(digits, -6))
  if is_negative then
    seconds = -seconds
    if fraction > 0 then
      seconds, fraction = seconds - 1, 1000000 - fraction
    end
  end
  local days = math.floor(seconds / 86400)
  local second = seconds - days * 86400
  -- Civil date of a day number: eras of 400 years from 1 March of year 0.
  local shifted = days + 719468
  local era = math.floor(shifted / 146097)
  local day_of_era = shifted - era * 146097
  local year_of_era = math.floor((day_of_era - math.floor(day_of_era / 1460) + math.floor(day_of_era / 36524) - math.floor(day_of_era / 146096)) / 365)
  local day_of_year = day_of_era - (365 * year_of_era + math.floor(year_of_era / 4) - math.floor(year_of_era / 100))
  local shifted_month = math.floor((5 * day_of_year + 2) / 153)
  local day = day_of_year - math.floor((153 * shifted_month + 2) / 5) + 1
  local month = shifted_month < 10 and shifted_month + 3 or shifted_month - 9
  local year = year_of_era + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ', year, month, day,
    math.floor(second / 3600), math.floor(second / 60) % 60, second % 60, fraction)
end

-- Nothing is refused from here on.
for n = 1, input_count do
  local file_id, partition, id_set, object_key = input_of(n)
  redis.call('HDEL', KEYS[first_entries + partition - 1], file_id)
  if id_set > 0 then
    redis.call('SREM', KEYS[first_id_set + id_set - 1], object_key)
  end
  redis.call('ZADD', doomed, now_ms + tonumber(ARGV[8]), object_key)
end
for n = 1, output_count do
  local file_id, partition, id_set, object_key, entry = output_of(n)
  redis.call('HSET', KEYS[first_entries + partition - 1], file_id, entry)
  if id_set > 0 then
    redis.call('SADD', KEYS[first_id_set + id_set - 1], object_key)
  end
  redis.call('ZREM', doomed, object_key)
end
local new_token = redis.call('INCR', token_key)
for partition = 0, partition_count - 1 do
  if redis.call('HLEN', KEYS[first_entries + partition]) == 0 then
    redis.call('HDEL', index_map, ARGV[first_name + partition])
  else
    redis.call('HSET', index_map, ARGV[first_name + partition], new_token)
  end
end
redis.call('HINCRBY', stats, 'file_count', output_count - input_count)
redis.call('HINCRBY', stats, 'size_bytes', bytes_in - bytes)
redis.call('HINCRBY', stats, 'record_count', rows_in - rows)
if ARGV[10] ~= '' then
  -- With the same token nothing has been flushed since: what came later is pending still.
  local oldest, newest = ARGV[12], ARGV[13]
  for shard = 0, shard_count - 1 do
    local pending, batch_meta = KEYS[first_shard + 2 * shard], KEYS[first_shard + 2 * shard + 1]
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', pending, '(' .. ARGV[11], '+inf')) do
      local min_ts, max_ts = string.match(redis.call('HGET', batch_meta, id), '^%d+:%d+:%d+:%d+:%d+:(-?%d+):(-?%d+):')
      local first, last = rfc3339(min_ts), rfc3339(max_ts)
      if oldest == '' or first < oldest then oldest = first end
      if newest == '' or last > newest then newest = last end
    end
  end
  redis.call('HSET', stats, 'oldest_record', oldest, 'newest_record', newest)
end
redis.call('ZREM', plans, plan_id)
redis.call('HDEL', plan_texts, plan_id)
redis.call('ZADD', done_plans, now_ms + DONE_FOR_MS, plan_id)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', done_plans, '-inf', '(' .. now_ms, 'LIMIT', 0, 8)) do
  redis.call('ZREM', done_plans, id)
end
return { 'ok', tostring(new_token), rows - rows_in, input_count, output_count }
