-- reserve-for-user: enters a table into the list of those that a user made, if that user may have one more.
--
-- KEYS  1 tables of the user
-- ARGV  1 name · 2 tables max
-- Answers {'ok'} · {'listed'} · {'full', tables}
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return { 'listed' }
end
local tables = redis.call('ZCARD', KEYS[1])
if tables >= tonumber(ARGV[2]) then
  return { 'full', tables }
end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)), ARGV[1])
return { 'ok' }
