"""What Redis does in one step, as Lua: numbering, looking for holes, taking."""

_TOP = """
local function top(stream)
  if redis.call('EXISTS', stream) == 0 then return 0, 0 end
  local info = redis.call('XINFO', 'STREAM', stream)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      local ms, seq = string.match(info[i + 1], '(%d+)-(%d+)')
      return tonumber(ms), tonumber(seq)
    end
  end
end
local function add(stream, longest, id, topic, text, group)
  if group == '' then
    redis.call('XADD', stream, 'MAXLEN', '~', longest, id, 't', topic, 'e', text)
  else
    redis.call('XADD', stream, 'MAXLEN', '~', longest, id, 't', topic, 'e', text, 'g', group)
  end
end
"""

MIRROR = (
    _TOP
    + """
local stream, head = KEYS[1], KEYS[2]
local after, longest, reached = tonumber(ARGV[1]), ARGV[2], (top(stream))
if reached < after then return reached end
for i = 3, #ARGV, 4 do
  local offset = tonumber(ARGV[i])
  if offset > reached then
    if reached > 0 and offset > reached + 1 then break end
    add(stream, longest, ARGV[i] .. '-0', ARGV[i + 2], ARGV[i + 3], '')
    redis.call('SET', head, ARGV[i + 1])
    reached = offset
  end
end
return reached
"""
)
"""KEYS stream, head; ARGV after, longest, then offset, hash, topic, text of each row: the offset reached."""

PUBLISH = (
    _TOP
    + """
local offset, number = top(KEYS[1])
for i = 2, #ARGV, 3 do
  number = number + 1
  add(KEYS[1], ARGV[1], offset .. '-' .. number, ARGV[i], ARGV[i + 1], ARGV[i + 2])
end
return number
"""
)
"""KEYS stream; ARGV longest, then topic, text, group of each event."""

RETRY = (
    _TOP
    + """
local offset, number = top(KEYS[1])
if redis.call('HDEL', KEYS[2], ARGV[2]) == 0 then return 0 end
add(KEYS[1], ARGV[1], offset .. '-' .. (number + 1), ARGV[3], ARGV[4], ARGV[5])
return 1
"""
)
"""KEYS stream, letters; ARGV longest, field, topic, text, group. Returns 0 if somebody else did it."""

TAKE = (
    _TOP
    + """
local stream, group, bridged = KEYS[1], ARGV[1], tonumber(ARGV[4])
if redis.call('EXISTS', stream) == 0 then return {'unknown'} end
local last
for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local told = {}
  for i = 1, #info, 2 do told[info[i]] = info[i + 1] end
  if told['name'] == group then last = told['last-delivered-id'] end
end
if not last then return {'unknown'} end
local begun = math.max(tonumber((string.match(last, '(%d+)-'))), bridged)
local found = redis.call('XRANGE', stream, '(' .. last, '+', 'COUNT', 1)
local upto
if #found == 0 then
  upto = (top(stream))
else
  local ms, seq = string.match(found[1][1], '(%d+)-(%d+)')
  upto = tonumber(ms)
  if seq == '0' then upto = upto - 1 end
end
if upto > begun then return {'hole', begun + 1, upto} end
if #found == 0 then return {'empty', last} end
local read = redis.call('XREADGROUP', 'GROUP', group, ARGV[2], 'COUNT', ARGV[3], 'STREAMS', stream, '>')
return {'taken', read[1][2]}
"""
)
"""KEYS stream; ARGV group, consumer, count, bridged."""
