-- Takes every amount, or none.
-- KEYS: the account of each want. ARGV: the time in ms (empty: this server's), ms that accounts
-- rest longer than they must, then three a want: ms a slot, maximum, amount.
-- Returns {0, time, born...}, or {want, ms to wait} with -1 ms for what never fits.
-- An account is a hash of slot -> granted, and `born`, which tells it from one of the same name
-- that was lost or ran out.
local SLOTS, EXACT = 16, 2 ^ 53
local function text(n) return string.format('%.0f', n) end

local clock = redis.call('TIME')
local now = tonumber(ARGV[1]) or clock[1] * 1000 + math.floor(clock[2] / 1000)

local accounts = {}
local function account_of(key, current)
    if accounts[key] then return accounts[key] end
    local account = { slots = {}, gone = {}, used = 0, born = text(clock[1] * 1000000 + clock[2]) }
    local fields = redis.call('HGETALL', key)
    for i = 1, #fields, 2 do
        local slot, granted = tonumber(fields[i]), tonumber(fields[i + 1])
        if fields[i] == 'born' then
            account.born = fields[i + 1]
        elseif math.abs(current - slot) <= SLOTS then
            account.slots[slot] = granted
            account.used = account.used + granted
        else
            account.gone[#account.gone + 1] = fields[i]
        end
    end
    accounts[key] = account
    return account
end

-- How long until at most `rest` of what is counted now still counts.
local function wait(account, rest, slot_ms)
    local slots, left = {}, account.used
    for slot in pairs(account.slots) do slots[#slots + 1] = slot end
    table.sort(slots)
    for _, slot in ipairs(slots) do
        left = left - account.slots[slot]
        if left <= rest then
            return math.min(math.max((slot + SLOTS + 1) * slot_ms - now, 0), EXACT)
        end
    end
    return EXACT
end

for i, key in ipairs(KEYS) do
    local slot_ms, max, amount =
        tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
    if amount > max then return { i, -1 } end
    local slot = math.floor(now / slot_ms)
    local account = account_of(key, slot)
    if account.used > max - amount then return { i, wait(account, max - amount, slot_ms) } end
    account.used = account.used + amount
    account.slots[slot] = (account.slots[slot] or 0) + amount
    account.touched, account.slot_ms = slot, slot_ms
end

local granted = { 0, now }
for i, key in ipairs(KEYS) do
    local account = accounts[key]
    local slot = account.touched
    if #account.gone > 0 then redis.call('HDEL', key, unpack(account.gone)) end
    account.gone = {}
    redis.call('HSET', key, 'born', account.born, text(slot), text(account.slots[slot]))
    local rest_ms = math.min(account.slot_ms * (SLOTS + 2) + ARGV[2], 10 ^ 14)
    redis.call('PEXPIRE', key, text(rest_ms))
    granted[i + 2] = tonumber(account.born)
end
return granted
