-- A page of a list: {total, whether there is more, ids..., heads..., the last one's score}; false when
-- expired rows are left to take out first.
local list, bound, limit = KEYS[1], ARGV[2], tonumber(ARGV[3])
local score, id = ARGV[4], ARGV[5]

if purge(500) == 500 then
  return false
end

-- Whether `one` stands after `other` among equal scores, which is by bytes; the comparison of Lua
-- goes by the server's language.
local function stands_after(one, other)
  for at = 1, math.min(#one, #other) do
    local a, b = string.byte(one, at), string.byte(other, at)
    if a ~= b then return a > b end
  end
  return #one > #other
end

local total = redis.call('ZCOUNT', list, '-inf', bound)
local from = 0
if score then
  from = redis.call('ZCOUNT', list, '-inf', '(' .. score)
  local to = from + redis.call('ZCOUNT', list, score, score)
  while from < to do
    local middle = math.floor((from + to) / 2)
    if stands_after(redis.call('ZRANGE', list, middle, middle)[1], id) then
      to = middle
    else
      from = middle + 1
    end
  end
end

local to = math.min(from + limit, total)
local ids = from < to and redis.call('ZRANGE', list, from, to - 1) or {}
local heads = {}
for at, found in ipairs(ids) do
  local head = redis.pcall('HGET', tag .. ':head:' .. found, 'head')
  heads[at] = type(head) == 'string' and head or ''
end
local last = #ids > 0 and redis.call('ZSCORE', list, ids[#ids]) or ''
return { total, to < total and 1 or 0, ids, heads, last }
