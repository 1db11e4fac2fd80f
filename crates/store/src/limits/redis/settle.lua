-- Counts what was used where an amount was reserved.
-- KEYS: the account of each want. ARGV: when it was reserved, in ms, then four a want: ms a slot,
-- the account's `born`, reserved, used.
-- An account that was lost, or a slot that ran out, no longer holds what was reserved: it stays.
local EXACT = 2 ^ 53
local function text(n) return string.format('%.0f', n) end

for i, key in ipairs(KEYS) do
    local slot = text(math.floor(tonumber(ARGV[1]) / tonumber(ARGV[4 * i - 2])))
    local found = redis.call('HMGET', key, 'born', slot)
    if found[1] == ARGV[4 * i - 1] and found[2] then
        local others = math.max(tonumber(found[2]) - tonumber(ARGV[4 * i]), 0)
        redis.call('HSET', key, slot, text(math.min(others + tonumber(ARGV[4 * i + 1]), EXACT)))
    end
end
return 0
