#!lua flags=no-writes
-- look-commits: whether puts are in committed files. A batch leaves what is pending by a commit only, so one that is not
-- pending is committed, if Redis still knows of its put: a Redis that was put back to an older state knows neither.
--
-- KEYS  1 table config · 2 counters · 3 done · then for each shard from the first: pending, set aside
-- ARGV  1 generation · then the puts, each: put id, batch count B, B times: shard number, batch id
--       or, of a put whose batches nobody knows: '', its sequence; then all up to that must be committed
-- Answers {'gone'} · {'ok', 'pending'|'committed'|'set_aside'|'lost', …}: one for each put, in order
local counters, done = KEYS[2], KEYS[3]
local first_shard = 4
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then
  return { 'gone' }
end

local function state_of_batches(put_id, at, count)
  local is_pending = false
  for batch = at, at + 2 * (count - 1), 2 do
    local shard = first_shard + 2 * tonumber(ARGV[batch])
    if redis.call('ZSCORE', KEYS[shard + 1], ARGV[batch + 1]) then
      return 'set_aside'
    end
    is_pending = is_pending or redis.call('ZSCORE', KEYS[shard], ARGV[batch + 1]) ~= false
  end
  if is_pending then
    return 'pending'
  end
  return redis.call('ZSCORE', done, put_id) and 'committed' or 'lost'
end

local function state_up_to(seq)
  if tonumber(redis.call('HGET', counters, 'seq') or '0') < tonumber(seq) then
    return 'lost'
  end
  local pending, aside = 0, 0
  for shard = first_shard, #KEYS, 2 do
    pending = pending + redis.call('ZCOUNT', KEYS[shard], '-inf', seq)
    aside = aside + redis.call('ZCOUNT', KEYS[shard + 1], '-inf', seq)
  end
  -- What was set aside is pending too, and stays so.
  if pending > aside then
    return 'pending'
  end
  return aside > 0 and 'set_aside' or 'committed'
end

local answer = { 'ok' }
local at = 2
while at <= #ARGV do
  if ARGV[at] == '' then
    answer[#answer + 1] = state_up_to(ARGV[at + 1])
    at = at + 2
  else
    local count = tonumber(ARGV[at + 1])
    answer[#answer + 1] = state_of_batches(ARGV[at], at + 2, count)
    at = at + 2 + 2 * count
  end
end
return answer
