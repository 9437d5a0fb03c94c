-- reserve: enters a name into the list of tables, if the list has room.
--
-- KEYS  1 tables:list
-- ARGV  1 name · 2 tables max
-- Answers {'ok'} · {'listed'} · {'full', tables}
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 then
  return { 'listed' }
end
local tables = redis.call('SCARD', KEYS[1])
if tables >= tonumber(ARGV[2]) then
  return { 'full', tables }
end
redis.call('SADD', KEYS[1], ARGV[1])
return { 'ok' }
